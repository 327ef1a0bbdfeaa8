"""What classifiers of texts and of images share: classes, metrics, and which class F1 is of."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from sklearn.metrics import confusion_matrix, f1_score
from torch import nn
from torchmetrics import MeanSquaredError
from torchmetrics.classification import BinaryAUROC, MulticlassCohenKappa, MultilabelF1Score
from transformers.modeling_outputs import ImageClassifierOutput

from lit_hf import (
    HFDataModule,
    ImageClassificationDataModule,
    ImageClassifier,
    InputError,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.batches import ClassOutput
from lit_hf.callbacks.export import export_checkpoint
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.functional.labels import ProblemType
from lit_hf.metrics.classification import MOST_CLASSES
from lit_hf.metrics.function import FunctionMetric
from lit_hf.modules.losses import for_each_row
from tests.images import drawn

MakeTrainer = Callable[..., pl.Trainer]
NAMES = ["no", "yes"]
LABELS = ["no", "yes", "no", "no", "yes", "no", "yes"]
Make = Callable[..., tuple[pl.LightningModule, HFDataModule]]


@pytest.fixture(params=["texts", "images"])
def make(request: pytest.FixtureRequest, tiny_model: str, tiny_vit: str) -> Make:
    """Makes a module and rows of two classes, of texts and of images."""

    def run(**settings: Any) -> tuple[pl.LightningModule, HFDataModule]:  # noqa: ANN401 - of either class
        if request.param == "texts":
            rows = [{"text": f"a fire {n}", "label": name} for n, name in enumerate(LABELS)]
            data = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(
                train=rows, val=rows, test=rows
            )
            return TextClassifier(tiny_model, **settings), data
        pictures = [{"image": drawn(n), "label": name} for n, name in enumerate(LABELS)]
        images = ImageClassificationDataModule(tiny_vit, val_fraction=0).with_rows(
            train=pictures, val=pictures, test=pictures
        )
        return ImageClassifier(tiny_vit, **settings), images

    return run


def _validated(
    trainer: pl.Trainer, made: tuple[Any, HFDataModule], path: Path | None = None
) -> float:
    (scores,) = trainer.validate(*made, ckpt_path=path, weights_only=True, verbose=False)
    return float(scores["val/f1"])


def _wanted(made: tuple[Any, HFDataModule], positive: int) -> float:
    module, data = made
    truth: list[int] = []
    answers: list[int] = []
    module.train(False)  # no dropout
    for batch in data.val_dataloader():
        batch = data.on_after_batch_transfer(batch, 0)
        with torch.no_grad():
            answers += module(batch).logits.argmax(1).tolist()
        truth += batch["labels"].tolist()
    return float(f1_score(truth, answers, pos_label=positive))


@pytest.mark.parametrize(("positive", "number"), [(None, 1), ("yes", 1), ("no", 0)])
def test_f1__is_that_of_the_positive_class(
    make: Make, make_trainer: MakeTrainer, positive: str | None, number: int
) -> None:
    made = make(positive_label=positive)
    module: Any = made[0]
    found = _validated(make_trainer(), made)
    assert found == pytest.approx(_wanted(made, number), abs=1e-6)
    assert module.positive_label == NAMES[number]
    assert module.label_names == NAMES
    assert module.model.config.id2label == {0: "no", 1: "yes"}


def test_positive__of_a_checkpoint_is_used_where_none_is_chosen(
    make: Make, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    module, data = made = make(positive_label="no")
    trainer = make_trainer(max_steps=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert read_checkpoint(tmp_path / "a.ckpt")["hyper_parameters"]["positive_label"] == "no"
    own, other = _wanted(made, 0), _wanted(made, 1)
    assert own != other
    path = tmp_path / "a.ckpt"
    assert _validated(make_trainer(), make(), path) == pytest.approx(own, abs=1e-6)
    chosen = make(positive_label="yes")
    assert _validated(make_trainer(), chosen, path) == pytest.approx(other, abs=1e-6)
    kind: Any = type(module)
    again = kind.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert again.positive_label == "no"
    assert _validated(make_trainer(), (again, data)) == pytest.approx(own, abs=1e-6)


def test_positive__that_is_another_one_than_before_does_not_go_on(
    make: Make, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    path = tmp_path / "a.ckpt"
    trainer = make_trainer(max_steps=1)
    trainer.fit(*make())
    trainer.save_checkpoint(path)
    with pytest.raises(InputError, match="`positive_label` is 'no', that of the checkpoint 'yes'"):
        make_trainer(max_steps=2).fit(*make(positive_label="no"), ckpt_path=path, weights_only=True)
    for same in ("yes", None):
        module, data = make(positive_label=same)
        make_trainer(max_steps=2).fit(module, data, ckpt_path=path, weights_only=True)
        assert getattr(module, "positive_label") == "yes"  # noqa: B009 - of either class


def test_positive__of_a_checkpoint_is_the_same_class_under_another_name(
    tiny_model: str, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    rows = [{"text": f"a fire {n}", "label": n % 2} for n in range(4)]
    numbered = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(
        train=rows, val=rows
    )
    named = TextClassificationDataModule(tiny_model, val_fraction=0, label_names=NAMES).with_rows(
        train=rows, val=rows
    )
    trainer = make_trainer(max_steps=1)
    trainer.fit(TextClassifier(tiny_model, positive_label="0"), numbered)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    module = TextClassifier(tiny_model)
    path = tmp_path / "a.ckpt"
    found = _validated(make_trainer(), (module, named), path)
    assert module.positive_label == "no"
    assert found == pytest.approx(_wanted((module, named), 0), abs=1e-6)


def test_positive__that_is_no_class_is_refused_before_weights_are_loaded(
    make: Make, make_trainer: MakeTrainer
) -> None:
    with pytest.raises(InputError, match="`positive_label` is 'maybe', but the classes are 'no'"):
        make(positive_label="maybe", label_names=NAMES)
    module, data = make(positive_label="maybe")
    with pytest.raises(InputError, match="`positive_label` is 'maybe'"):
        make_trainer(max_steps=1).fit(module, data)
    assert "model" not in module._modules


def test_positive__of_more_classes_or_of_another_problem_is_refused(tiny_model: str) -> None:
    with pytest.raises(InputError, match="here are 3 classes"):
        TextClassifier(tiny_model, ["a", "b", "c"], positive_label="a")
    with pytest.raises(InputError, match="`problem_type: regression`"):
        TextClassifier(tiny_model, problem_type="regression", positive_label="a")
    with pytest.raises(InputError, match="`problem_type: multi_label`"):
        TextClassifier(tiny_model, ["a", "b"], "multi_label", positive_label="a")


def test_evaluation__by_itself_names_the_positive_class(
    make: Make, make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    made = make(positive_label="no")
    with caplog.at_level("INFO", "lit_hf"):
        _validated(make_trainer(), made)
        make_trainer().test(*made, verbose=False)
    assert "`val/f1` is that of the positive class 'no'" in caplog.text
    assert "`test/f1` is that of the positive class 'no'" in caplog.text


def test_auroc__of_very_many_classes_is_left_out_and_that_is_said_once(
    tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    module = TextClassifier(tiny_model, [f"class {n}" for n in range(MOST_CLASSES + 1)])
    with caplog.at_level("INFO", "lit_hf"):
        _ = module.model
    assert "val/auroc" not in [f"val/{name}" for name in module.metric_names()]
    assert caplog.text.count(f"no AUROC: {MOST_CLASSES + 1} classes") == 1


# Metrics.


def _with_model(model: str, num_labels: int, **settings: Any) -> TextClassifier:  # noqa: ANN401 - of the class
    names = [f"class {n}" for n in range(num_labels)]
    module = TextClassifier(model, names, pretrained=False, **settings)
    module.configure_model()
    return module


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("num_classes", [2, 7])
def test_confusion_matrix__is_that_of_sklearn_without_copies(
    tiny_model: str, num_classes: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(47, num_classes, generator=generator)
    labels = torch.randint(0, num_classes - 1, (47,), generator=generator)  # one is never right
    copies = torch.arange(47) % 5 == 4
    module = _with_model(tiny_model, num_classes)

    def count(rows: torch.Tensor, are_copies: torch.Tensor) -> None:
        batch: Any = {"labels": labels[rows]}
        scores = module.decode(batch, {"logits": logits[rows]})
        module.count(batch, scores, are_copies.logical_not(), "val")

    for rows in torch.split(torch.arange(47), 10):
        count(rows, copies[rows])
    count(torch.arange(2), torch.ones(2, dtype=torch.bool))
    found = module.confusion_matrix("val")
    assert found is not None
    numbers = list(range(num_classes))
    wanted = confusion_matrix(labels[~copies], logits[~copies].argmax(1), labels=numbers)
    assert found.tolist() == wanted.tolist()
    assert found.dtype is torch.int64
    assert "confusion" not in str(module.state_dict().keys())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        empty = module.confusion_matrix("test")
        module.reset_metrics("val")
        forgotten = module.confusion_matrix("val")
    for matrix in (empty, forgotten):
        assert matrix is not None
        assert int(matrix.sum()) == 0


@pytest.mark.parametrize(
    ("problem", "num_labels"),
    [("multi_label", 3), ("regression", 0), ("single_label", MOST_CLASSES + 1)],
)
def test_confusion_matrix__only_of_single_labels_of_not_too_many_classes(
    tiny_model: str, problem: ProblemType, num_labels: int
) -> None:
    names = [f"class {n}" for n in range(num_labels)] or None
    module = TextClassifier(tiny_model, names, problem, pretrained=False)
    module.configure_model()
    assert module.confusion_matrix("val") is None


def test_metrics__get_probabilities_and_labels(tiny_model: str) -> None:
    logits, labels = torch.tensor([[0.0, 1.0], [2.0, 0.0], [3.0, 0.5]]), torch.tensor([1, 1, 0])
    batch: Any = {"labels": labels, "index": [7, 3, 5]}
    for positive in (1, 0):
        module = TextClassifier("no model", NAMES, positive_label=NAMES[positive])
        scores = module.decode(batch, {"logits": logits})
        for metric in (MulticlassCohenKappa(2), Dice()):
            inputs = module.metric_inputs(metric, batch, scores)
            assert torch.equal(as_tensor(inputs[0]), logits.softmax(1))
            assert inputs[1] is labels
        column, is_positive = module.metric_inputs(BinaryAUROC(), batch, scores)
        assert torch.equal(as_tensor(column), logits.softmax(1)[:, positive])
        assert as_tensor(is_positive).tolist() == (labels == positive).long().tolist()
        found = module.metric_inputs(FunctionMetric(lambda p, t: 0.0), batch, scores)
        assert as_tensor(found[0]).tolist() == [1, 0, 0]
        assert as_tensor(found[1]).tolist() == [1, 1, 0]


def test_metrics__of_several_labels_and_of_numbers() -> None:
    logits = torch.tensor([[0.1, -1.0], [2.0, 0.0]])
    batch: Any = {"labels": torch.tensor([[1.0, 0.0], [0.0, 1.0]])}
    module = TextClassifier("no model", NAMES, "multi_label")
    scores = module.decode(batch, {"logits": logits})
    with pytest.raises(InputError, match="MulticlassCohenKappa counts rows of one class each"):
        module.metric_inputs(MulticlassCohenKappa(2), batch, scores)
    inputs = module.metric_inputs(MultilabelF1Score(2), batch, scores)
    assert torch.equal(as_tensor(inputs[0]), logits.sigmoid())
    assert as_tensor(inputs[1]).dtype is torch.int64
    function = FunctionMetric(lambda p, t: 0.0)
    found = module.metric_inputs(function, batch, scores)
    assert as_tensor(found[0]).tolist() == [[1, 0], [1, 0]]
    assert as_tensor(found[1]).tolist() == [[1, 0], [0, 1]]
    batch = {"labels": torch.tensor([0.5, 2.5])}
    module = TextClassifier("no model", problem_type="regression")
    scores = module.decode(batch, {"logits": logits[:, :1]})
    for metric in (MeanSquaredError(), function):
        predictions, targets = module.metric_inputs(metric, batch, scores)
        assert torch.equal(as_tensor(predictions), logits[:, 0])
        assert as_tensor(targets).tolist() == [0.5, 2.5]


def as_tensor(value: object) -> torch.Tensor:
    """Of a type that is checked."""
    assert isinstance(value, torch.Tensor)
    return value


class Dice(nn.Module):
    """A metric of no class of torchmetrics, as far as its inputs go."""


# The loss.


def test_scores__of_some_rows_are_those_of_all() -> None:
    module = TextClassifier("no model", NAMES)
    output: ClassOutput = {"logits": torch.randn(5, 2)}
    everyone = module.decide(module.decode(cast("Any", {}), output))
    assert module.decide(module.decode(cast("Any", {}), output, [3, 1])) == [
        everyone[3],
        everyone[1],
    ]


def test_loss__of_mixed_images_is_by_their_shares() -> None:
    module = ImageClassifier("no model", NAMES)
    output: ClassOutput = {"logits": torch.tensor([[0.0, 1.0], [2.0, 0.0]])}
    shares = torch.tensor([[0.3, 0.7], [1.0, 0.0]])
    batch: Any = {"labels": torch.tensor([1, 0]), "targets": shares}
    logs = output["logits"].log_softmax(1)
    for loss, kept in ((None, 1.0), (nn.CrossEntropyLoss(label_smoothing=0.2), 0.8)):
        found = module.loss_terms(batch, output, for_each_row(loss)).numerators
        wanted = -(logs * (shares * kept + (1 - kept) / 2)).sum(1)
        assert torch.allclose(found, wanted)
    batch["labels"] = torch.tensor([1.0, 0.0])
    with pytest.raises(InputError, match="wants int64 labels"):
        module.loss_terms(batch, output, None)


def test_loss_with_weights_of_classes__is_needed_in_training_alone(
    make: Make, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    module, data = make(loss=nn.CrossEntropyLoss(torch.tensor([1.0, 5.0])))
    trainer = make_trainer(max_steps=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    kind: Any = type(module)
    again = kind.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert _validated(make_trainer(), (again, data)) == _validated(make_trainer(), (module, data))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_logits__of_a_model_in_half_precision_are_scored_in_single(
    make: Make, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    module: Any = make(label_names=NAMES)[0]
    half = torch.randn(4, 2).to(dtype)
    monkeypatch.setattr(module, "forward", lambda batch: ImageClassifierOutput(logits=half))
    logits = module.run({}, "val")["logits"]
    wanted = torch.float64 if dtype is torch.float64 else torch.float32
    assert logits.dtype is wanted
    assert torch.equal(logits, half.to(wanted))


def _alike(make: Make, label: str) -> tuple[pl.LightningModule, HFDataModule]:
    """The same rows, of which those of validation and test are of one class."""
    module, data = make(label_names=NAMES)
    rows = [row for _, row in data.tables("train")[0].rows() if row["label"] == label]
    return module, data.with_rows(val=rows, test=rows)


@pytest.mark.parametrize("label", NAMES)
def test_rows__of_one_class_are_told(
    make: Make, make_trainer: MakeTrainer, label: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = _alike(make, label)
    wanted = f": all rows are of the class {label!r}"
    for run, stage in ((make_trainer().validate, "val"), (make_trainer().test, "test")):
        caplog.clear()
        with caplog.at_level("WARNING", "lit_hf"):
            run(*made, verbose=False)
        assert f"`{stage}`{wanted}" in caplog.text


def test_rows__of_one_class_are_told_once_in_a_training_and_not_in_its_sanity_check(
    make: Make, make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    module, data = make()
    trainer = make_trainer(max_epochs=1, num_sanity_val_steps=1)
    data.eval_batch_size = 1  # the check sees one row
    with caplog.at_level("WARNING", "lit_hf"):
        trainer.fit(module, data)
    assert "all rows are of the class" not in caplog.text
    with caplog.at_level("WARNING", "lit_hf"):
        make_trainer(max_epochs=3).fit(*_alike(make, "no"))
    assert caplog.text.count("all rows are of the class 'no'") == 1


@pytest.mark.parametrize(
    ("problem", "labels", "wanted"),
    [
        ("regression", [1.5, 1.5, 1.5], "are equal: correlation is undefined"),
        ("multi_label", [["a"], ["a"], ["a"]], "no label is on in some rows"),
        ("regression", [1.5, 1.0, 0.5], None),
        ("multi_label", [["a"], ["a", "b"], []], None),
    ],
)
def test_rows__that_are_all_alike_are_told(
    problem: Any,  # noqa: ANN401 - a problem type
    labels: list[object],
    wanted: str | None,
    tiny_model: str,
    make_trainer: MakeTrainer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = ["a", "b"] if problem == "multi_label" else None
    rows = [{"text": f"a fire {n}", "label": label} for n, label in enumerate(labels)]
    data = TextClassificationDataModule(tiny_model, problem_type=problem, label_names=names)
    module = TextClassifier(tiny_model, problem_type=problem, label_names=names)
    with caplog.at_level("WARNING", "lit_hf"):
        make_trainer().test(module, data.with_rows(test=rows), verbose=False)
    assert ("`test`: " in caplog.text) == (wanted is not None)
    assert (wanted or "") in caplog.text


NUMBERED = ["2", "3", "1"]


def _numbered(
    model: str, train: list[int] | None, test: list[int]
) -> tuple[TextClassifier, TextClassificationDataModule]:
    """Names that are numbers, other ones than those of their classes."""
    data = TextClassificationDataModule(model, label_names=NUMBERED, val_fraction=0)
    split = {"train": train, "test": test}
    rows = {
        name: [{"text": f"a fire {n}", "label": label} for n, label in enumerate(labels)]
        for name, labels in split.items()
        if labels is not None
    }
    return TextClassifier(model, label_names=NUMBERED), data.with_rows(**rows)


def test_reading__of_numbers_is_kept_and_another_one_is_refused(
    tiny_model: str, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    """Without the training rows a 1 would be the last class in place of the second one."""
    trainer, path = make_trainer(max_steps=1), tmp_path / "a.ckpt"
    module, data = _numbered(tiny_model, [0, 1, 2], [1, 2])
    trainer.fit(module, data)
    trainer.save_checkpoint(path)
    assert read_checkpoint(path)["lit_hf"]["labels_are"] == "numbers"
    test = make_trainer().test
    test(*_numbered(tiny_model, [0, 1, 2], [1, 2]), ckpt_path=path, weights_only=True)
    again = TextClassifier.load_from_checkpoint(path, weights_only=True)
    test(again, data, verbose=False)
    other, alone = _numbered(tiny_model, None, [1, 2])
    for module, held in ((other, path), (again, None)):
        with pytest.raises(InputError, match=r"read as names of the classes .* their numbers"):
            test(module, alone, ckpt_path=held, weights_only=True)
    make_trainer().predict(again, alone.with_rows(predict=[{"text": "a fire"}]))
    trainer = make_trainer(max_steps=2)
    with pytest.raises(InputError, match="read as names"):
        trainer.fit(*_numbered(tiny_model, [1, 2, 3], [1]), ckpt_path=path, weights_only=True)


def test_reading__of_numbers_goes_into_the_export(
    tiny_model: str, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    trainer = make_trainer(max_steps=1)
    trainer.fit(*_numbered(tiny_model, [0, 1, 2], [1, 2]))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    folder = export_checkpoint(tmp_path / "a.ckpt", tmp_path / "out")
    _, data = _numbered(str(folder), None, [1, 2])
    data.setup("test")
    assert list(data.splits["test"]["labels"]) == [1, 2]
    make_trainer().test(TextClassifier(str(folder)), data, verbose=False)


def test_loaders__without_their_data_of_other_classes_are_refused(
    tiny_model: str, make_trainer: MakeTrainer
) -> None:
    rows = [{"text": f"text {number}", "label": ("no", "yes")[number % 2]} for number in range(8)]
    data = TextClassificationDataModule(tiny_model, val_fraction=0)
    data.with_rows(train=rows, val=rows, test=rows)
    for names, is_right in ((["no", "yes"], True), (["yes", "no"], False)):
        module, trainer = TextClassifier(tiny_model, label_names=names), make_trainer(max_epochs=1)
        calls: list[tuple[Callable[..., object], object, str]] = [
            (trainer.fit, data.train_dataloader(), "Give the module `label_names="),
            (trainer.validate, data.val_dataloader(), "Give the data `label_names=module"),
            (trainer.test, data.test_dataloader(), "Give the data `label_names=module"),
        ]
        for call, loader, remedy in calls:
            if is_right:
                call(module, loader)
                continue
            with pytest.raises(InputError, match=remedy):
                call(module, loader)


def test_test_rows__without_one_of_the_classes_want_the_names_of_the_module(
    tiny_model: str, make_trainer: MakeTrainer
) -> None:
    """Advice to give the module the two classes of the rows would lose what it has learnt."""
    names = ["anger", "fear", "joy"]
    module = TextClassifier(tiny_model, label_names=names)
    features = Features({"text": Value("string"), "label": ClassLabel(names=["anger", "joy"])})
    rows = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features=features)
    for stage, remedy in (
        ("test", "Give the data `label_names=module.label_names`"),
        ("validate", "Give the data `label_names=module.label_names`"),
        ("fit", "Give the module `label_names="),
    ):
        data = TextClassificationDataModule(tiny_model, val_fraction=0)
        data.with_rows(train=rows, val=rows, test=rows)
        with pytest.raises(InputError, match=remedy):
            getattr(make_trainer(max_epochs=1), stage)(module, data)
    table = [{"text": "a", "label": "anger"}, {"text": "b", "label": "joy"}]
    data = TextClassificationDataModule(tiny_model, label_names=module.label_names)
    make_trainer().test(module, data.with_rows(test=table), verbose=False)  # as it says
