"""Models, configs, tokenizers and image processors of transformers in place of their names."""

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    DataCollatorWithPadding,
)

from lit_hf import (
    HFModule,
    ImageClassificationDataModule,
    InputError,
    MeanHead,
    Predictor,
    SampleLogger,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.model_folder import export_checkpoint
from tests.images import NAMES
from tests.tasks import TASKS, Task, task_of
from tests.trainers import quiet_trainer

AUTOS: dict[str, Any] = {
    "text": AutoModelForSequenceClassification,
    "image": AutoModelForImageClassification,
    "extractive": AutoModelForQuestionAnswering,
    "generative": AutoModelForSeq2SeqLM,
}


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest, tiny_model: str, tiny_t5: str, tiny_vit: str) -> Task:
    return task_of(request.param, tiny_model, tiny_t5, tiny_vit)


@pytest.fixture(params=["text", "image"])
def classifier(
    request: pytest.FixtureRequest, tiny_model: str, tiny_t5: str, tiny_vit: str
) -> Task:
    return task_of(request.param, tiny_model, tiny_t5, tiny_vit)


def _model(task: Task, nameless: bool = True) -> Any:  # noqa: ANN401 - of any class of models
    """A model with a head of its own, of no dropout, so that two trainings are alike."""
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of the head
        model = AUTOS[task.name].from_pretrained(task.model)
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    if nameless:
        model.config._name_or_path = ""
        model.name_or_path = ""
    return model


def _processor(task: Task, nameless: bool = True) -> Any:  # noqa: ANN401 - of either kind
    if task.name == "image":
        return AutoImageProcessor.from_pretrained(task.model)  # type: ignore[no-untyped-call]  # has no types
    tokenizer = AutoTokenizer.from_pretrained(task.model)
    if nameless:
        tokenizer.name_or_path = ""
    return tokenizer


def _data(task: Task, num_rows: int = 8, **settings: Any) -> Any:  # noqa: ANN401 - of the task
    given = {"batch_size": 4, "val_fraction": 0.0, "model_name": _processor(task), **settings}
    rows = task.rows(0, num_rows)
    return task.data(**given).with_rows(train=rows, val=rows, predict=rows)


def _fit(folder: Path, module: HFModule, data: Any, *callbacks: Any, **settings: Any) -> Any:  # noqa: ANN401 - of the Trainer
    path = settings.pop("ckpt_path", None)
    trainer = quiet_trainer(
        default_root_dir=folder, callbacks=list(callbacks), **{"max_epochs": 1, **settings}
    )
    trainer.fit(module, data, ckpt_path=path)
    return trainer


def test_model__is_trained_and_loaded_from_checkpoint_export_and_by_predictor(
    task: Task, tmp_path: Path
) -> None:
    model = _model(task)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    module, data = task.module(model_name=model), _data(task)
    trainer = _fit(tmp_path, module, data, SampleLogger(every_n_steps=1, num_samples=2))
    assert module.model is model
    assert any(not torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    path = tmp_path / "some.ckpt"
    trainer.save_checkpoint(path)
    held = torch.load(path, weights_only=True)["hyper_parameters"]
    assert held["model_name"].endswith(" (in memory)")
    again = type(module).load_from_checkpoint(path).model.state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in model.state_dict().items())
    items: list[Any] = [
        row["image"] if "image" in row else row.get("text") or (row["question"], row["context"])
        for row in task.rows(0, 3)
    ]
    expected = Predictor.from_pretrained(path)(items)
    folder = export_checkpoint(path, tmp_path / "out")
    assert Predictor.from_pretrained(folder)(items) == expected


def test_model__that_is_resumed_ends_with_the_same_weights(task: Task, tmp_path: Path) -> None:
    def run(folder: Path, **settings: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401 - of the Trainer
        module = task.module(model_name=_model(task), scheduler="constant")
        _fit(folder, module, _data(task), LastCheckpoint(), **settings)
        return {name: weight.clone() for name, weight in module.model.state_dict().items()}

    whole = run(tmp_path / "a", max_epochs=2)
    run(tmp_path / "b", max_epochs=1)
    last = next((tmp_path / "b").rglob("last.ckpt"))
    resumed = run(tmp_path / "b", max_epochs=2, ckpt_path=str(last))
    assert all(torch.equal(resumed[name], weight) for name, weight in whole.items())


def test_config__makes_random_weights(task: Task, tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(task.model)
    config._name_or_path = ""
    before = config.to_dict()
    module = task.module(model_name=config)
    trainer = _fit(tmp_path, module, _data(task))
    assert config.to_dict() == before
    assert not module.pretrained
    own = AUTOS[task.name].from_pretrained(task.model).base_model.state_dict()
    made = module.model.base_model.state_dict()
    assert made.keys() == own.keys()
    assert any(not torch.allclose(made[name], own[name], atol=0.01) for name in own)
    path = tmp_path / "some.ckpt"
    trainer.save_checkpoint(path)
    assert torch.load(path, weights_only=True)["lit_hf"]["from_scratch"]


def test_model__of_another_task_is_refused(task: Task, tiny_model: str, tiny_t5: str) -> None:
    other = AutoModel.from_pretrained(tiny_t5 if task.name != "generative" else tiny_model)
    module = task.module(model_name=other)
    with pytest.raises(
        InputError, match=f"{type(module).__name__} .* got a {type(other).__name__}"
    ):
        _ = module.model


def test_module__with_a_model_is_copied_with_it(task: Task) -> None:
    module = task.module(model_name=_model(task))
    for made in (module, copy.deepcopy(module)):
        twin = copy.deepcopy(made)
        assert twin.model is not module.model
        _ = made.model
    assert copy.deepcopy(module).model is not module.model


def test_processor__gives_what_its_name_gives(task: Task, tmp_path: Path) -> None:
    given = _processor(task)
    before = repr(given)
    data = _data(task, model_name=given)
    data.setup("fit")
    named = _data(task, model_name=task.model)
    named.setup("fit")
    assert data.processor is not given
    assert repr(given) == before
    one, other = data.splits["train"][:], named.splits["train"][:]
    assert one == other
    if task.name != "image":  # of which nothing is cached by the processor
        assert data.splits["train"]._fingerprint == named.splits["train"]._fingerprint
    data.save_processor(tmp_path / "a")
    assert list((tmp_path / "a").iterdir())


def test_processor__with_more_tokens_goes_with_a_model_that_has_them(
    tiny_model: str, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_tokens(["[E1]", "[/E1]"])
    model: Any = AutoModelForSequenceClassification.from_pretrained(tiny_model)
    rows = [{"text": f"[E1] fire [/E1] {n}", "label": NAMES[n % 2]} for n in range(8)]

    def data() -> TextClassificationDataModule:
        return TextClassificationDataModule(tokenizer, batch_size=4).with_rows(train=rows)

    with pytest.raises(InputError, match="`vocab_size`"):
        _fit(tmp_path, TextClassifier(model), data())
    model.resize_token_embeddings(len(tokenizer))
    trainer = _fit(tmp_path, TextClassifier(model), data())
    trainer.save_checkpoint(tmp_path / "some.ckpt")
    found = Predictor.from_pretrained(tmp_path / "some.ckpt")
    assert "[E1]" in found.tokenizer.get_vocab()  # type: ignore[union-attr]  # of texts


def test_processor__of_another_kind_is_refused(tiny_model: str, tiny_vit: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    images: Any = AutoImageProcessor.from_pretrained(tiny_vit)  # type: ignore[no-untyped-call]  # has no types
    with pytest.raises(InputError, match="expected a BaseImageProcessor"):
        _ = ImageClassificationDataModule(tokenizer).processor
    with pytest.raises(InputError, match="expected a PreTrainedTokenizerBase"):
        _ = TextClassificationDataModule(images).processor
    model: Any = AutoModel.from_pretrained(tiny_model)
    with pytest.raises(InputError, match="got a BertModel"):
        TextClassificationDataModule(model)


# Classes.


def test_num_labels__is_as_in_transformers(classifier: Task, tmp_path: Path) -> None:
    module = classifier.module(label_names=None, num_labels=5)
    plain = AUTOS[classifier.name].from_pretrained(classifier.model, num_labels=5)
    assert module.model.config.id2label == plain.config.id2label
    with pytest.raises(InputError, match="`num_labels` is 5, but there are 2 classes"):
        _fit(tmp_path, module, _data(classifier))
    with pytest.raises(InputError, match="`num_labels` is 3, but there are 2"):
        classifier.module(label_names=["a", "b"], num_labels=3)


@pytest.mark.parametrize("is_early", [False, True])
def test_num_labels__classes_are_named_by_the_data(
    classifier: Task, tmp_path: Path, is_early: bool
) -> None:
    module = classifier.module(label_names=None, num_labels=2)
    if is_early:
        assert module.model.config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
        assert module.label_names == ["LABEL_0", "LABEL_1"]
    trainer = _fit(tmp_path, module, _data(classifier))
    assert module.label_names == sorted(NAMES)
    assert module.model.config.id2label == dict(enumerate(sorted(NAMES)))
    assert module.positive_label == sorted(NAMES)[1]
    path = tmp_path / "some.ckpt"
    trainer.save_checkpoint(path)
    again = type(module).load_from_checkpoint(path)
    assert again.label_names == sorted(NAMES)
    assert again.num_labels == 2


def test_model__of_another_number_of_classes_than_the_data_is_refused(
    classifier: Task, tmp_path: Path
) -> None:
    model = AUTOS[classifier.name].from_pretrained(classifier.model, num_labels=3)
    with pytest.raises(InputError, match="has 3 outputs, but there are 2 classes"):
        _fit(tmp_path, classifier.module(model_name=model, label_names=None), _data(classifier))
    with pytest.raises(InputError, match="has 3 outputs, but there are 2 classes"):
        _ = classifier.module(model_name=model).model


def test_model__keeps_its_trained_head_and_takes_the_names_of_the_data(
    classifier: Task, tmp_path: Path
) -> None:
    names = {0: "first", 1: "second"}
    model = AUTOS[classifier.name].from_pretrained(classifier.model, id2label=names)
    model.config.architectures = [type(model).__name__]
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    module = classifier.module(model_name=model, label_names=None)
    trainer = quiet_trainer(default_root_dir=tmp_path, max_epochs=0)
    trainer.fit(module, _data(classifier))
    assert module.label_names == sorted(NAMES)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    other = classifier.module(model_name=model, label_names=sorted(NAMES)[::-1])
    with pytest.raises(InputError, match="in this order"):
        _ = other.model


def test_backbone__is_joined_with_a_head(tiny_model: str, tmp_path: Path) -> None:
    backbone = AutoModel.from_pretrained(tiny_model)
    before = {name: weight.clone() for name, weight in backbone.state_dict().items()}
    module = TextClassifier(backbone, NAMES, head=MeanHead)
    model: Any = module.model
    assert model.backbone is backbone
    assert isinstance(model.head, MeanHead)
    assert all(torch.equal(weight, before[name]) for name, weight in backbone.state_dict().items())
    rows = [{"text": f"fire {n}", "label": NAMES[n % 2]} for n in range(8)]
    data = TextClassificationDataModule(_tokenizer(tiny_model), batch_size=4)
    trainer = _fit(tmp_path, module, data.with_rows(train=rows))
    trainer.save_checkpoint(tmp_path / "some.ckpt")
    again = TextClassifier.load_from_checkpoint(tmp_path / "some.ckpt")
    assert all(torch.equal(w, again.state_dict()[n]) for n, w in module.state_dict().items())
    with pytest.raises(InputError, match="bare backbone with `head`"):
        _ = TextClassifier(backbone, NAMES).model


def _tokenizer(folder: str) -> Any:  # noqa: ANN401 - of any class
    return AutoTokenizer.from_pretrained(folder)


def test_model__on_loaders_alone_shows_numbers_and_is_exported(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_model)
    model.config._name_or_path = ""
    tokenizer = _tokenizer(tiny_model)
    rows = [{**tokenizer(f"fire {n}"), "label": n % 2} for n in range(8)]
    loader: Any = DataLoader(rows, batch_size=4, collate_fn=DataCollatorWithPadding(tokenizer))  # type: ignore[arg-type]  # a list
    module = TextClassifier(model)
    trainer = _fit(tmp_path, module, loader, SampleLogger(every_n_steps=1, num_samples=2))
    assert module.decode_tokens([2, 7]) == "2 7"
    trainer.save_checkpoint(tmp_path / "some.ckpt")
    folder = export_checkpoint(tmp_path / "some.ckpt", tmp_path / "out")
    assert "save yours into the folder" in caplog.text
    AutoModelForSequenceClassification.from_pretrained(folder)
    module.tokenizer = tokenizer
    assert module.decode_tokens(tokenizer("fire")["input_ids"]) == "fire"


class Scaled(BertForSequenceClassification):  # type: ignore[no-untyped-call]  # has no types
    """A user's own model with a weight more, which no config tells."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, *args: Any, **inputs: Any) -> Any:  # noqa: ANN401 - those of the base
        output = super().forward(*args, **inputs)
        output.logits = output.logits * self.scale
        return output


def test_model__of_a_users_own_class_is_loaded_into_another_of_it(
    tiny_model: str, tmp_path: Path
) -> None:
    rows = [{"text": f"fire {n}", "label": NAMES[n % 2]} for n in range(8)]
    data = TextClassificationDataModule(_tokenizer(tiny_model), batch_size=4)
    module = TextClassifier(Scaled.from_pretrained(tiny_model))
    trainer = _fit(tmp_path, module, data.with_rows(train=rows))
    path = tmp_path / "some.ckpt"
    trainer.save_checkpoint(path)
    with pytest.raises(InputError, match="scale"):
        TextClassifier.load_from_checkpoint(path)
    new = Scaled(cast("BertConfig", module.model.config))
    again = TextClassifier.load_from_checkpoint(path, model_name=new)
    assert isinstance(again.model, Scaled)
    assert all(torch.equal(w, again.state_dict()[n]) for n, w in module.state_dict().items())
    assert again.label_names == module.label_names
