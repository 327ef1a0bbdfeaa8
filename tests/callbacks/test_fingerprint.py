import json
import shutil
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    ModelSummary,
    StochasticWeightAveraging,
    Timer,
)
from lightning.pytorch.plugins import MixedPrecision

from lit_hf import (
    CropAndFlip,
    CutMix,
    ExtractiveQA,
    FreezeBackbone,
    GenerativeQA,
    HFModule,
    ImageClassificationDataModule,
    ImageClassifier,
    RandAugment,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.fingerprint import (
    differences,
    facts_of_callbacks,
    facts_of_data,
    facts_of_module,
    facts_of_plan,
    facts_of_precision,
    fingerprint,
    given_facts,
    held_fingerprint,
    shares_norms,
)
from tests.images import drawn
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]


def _facts(model: str, rows: Rows, **settings: Any) -> dict[str, Any]:  # noqa: ANN401 - of the data
    data = TextClassificationDataModule(model, **{"batch_size": 4, "val_fraction": 0, **settings})
    return dict(facts_of_data(data.with_rows(train=rows)))


def test_facts__are_the_same_for_the_same_rows_and_plain(tiny_model: str, tweet_rows: Rows) -> None:
    first = _facts(tiny_model, tweet_rows)
    assert first == _facts(tiny_model, tweet_rows, num_workers=2, eval_batch_size=3)
    assert first["number of training rows"] == 16
    assert json.loads(json.dumps(first)) == first


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"batch_size": 5}, {"data.batch_size"}),
        ({"seed": 1}, {"data.seed"}),
        ({"max_length": 5}, {"content of the training rows"}),
        ({"text_template": "x {text}"}, {"content of the training rows"}),
        ({"val_fraction": 0.25}, {"number of training rows", "content of the training rows"}),
        ({"val_fraction": 0.25, "seed": 2}, {"number of training rows", "data.seed"}),
    ],
)
def test_facts__change_with_what_decides_the_rows(
    tiny_model: str, tweet_rows: Rows, settings: dict[str, Any], names: set[str]
) -> None:
    told = differences(_facts(tiny_model, tweet_rows), _facts(tiny_model, tweet_rows, **settings))
    assert names <= {clause.split(" was ")[0] for clause in told}


def test_facts__change_with_a_single_row_and_with_the_order(
    tiny_model: str, tweet_rows: Rows
) -> None:
    whole = _facts(tiny_model, tweet_rows)
    other = [*tweet_rows[:15], {**tweet_rows[15], "text": "no song at all"}]
    for rows in (other, tweet_rows[::-1]):
        told = differences(whole, _facts(tiny_model, rows))
        assert [clause.split(" was ")[0] for clause in told] == ["content of the training rows"]


def test_facts__change_with_the_weights_of_rows(tiny_model: str, tweet_rows: Rows) -> None:
    plain = _facts(tiny_model, tweet_rows)
    rows = [{**row, "importance": number} for number, row in enumerate(tweet_rows)]
    weighed = _facts(tiny_model, rows, weight_column="importance")
    names = [clause.split(" was ")[0] for clause in differences(plain, weighed)]
    assert names == ["content of the training rows", "data.weight_column"]
    rows[3]["importance"] = 30
    (told,) = differences(weighed, _facts(tiny_model, rows, weight_column="importance"))
    assert told.startswith("content of the training rows")


def test_facts__of_images_name_what_changes_them(tiny_vit: str) -> None:
    rows: Any = [{"image": drawn(n), "label": "ab"[n % 2]} for n in range(8)]

    def facts(**settings: Any) -> dict[str, Any]:  # noqa: ANN401 - settings of the data
        data = ImageClassificationDataModule(tiny_vit, val_fraction=0, **settings)
        return dict(facts_of_data(data.with_rows(train=rows)))

    whole = facts()
    assert differences(whole, facts(augmentations=[CropAndFlip()])) == []
    told = "; ".join(
        differences(whole, facts(augmentations=[RandAugment(1)], mix_transforms=[CutMix()]))
    )
    assert "data.augmentations was" in told
    assert "CropAndFlip" in told
    assert "RandAugment" in told
    assert "data.mix_transforms was [], is" in told
    assert differences(whole, facts(augmentations=[CropAndFlip(2)])) != []
    assert "image processor" in differences(whole, facts(image_size=16))[0]


def test_stamp__of_a_tokenizer_does_not_know_how_it_last_cut_nor_where_it_lay(
    tiny_model: str, tweet_rows: Rows, tmp_path: Path
) -> None:
    data = TextClassificationDataModule(tiny_model, max_length=7).with_rows(train=tweet_rows)
    fresh = facts_of_data(data)
    data.processor(["a fire in the old town"], truncation=True, max_length=3, padding=True)
    used = facts_of_data(data)
    data.save_processor(tmp_path)
    shutil.copy(Path(tiny_model) / "config.json", tmp_path)
    again = TextClassificationDataModule(str(tmp_path), max_length=7).with_rows(train=tweet_rows)
    assert fresh == used == facts_of_data(again)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text().replace('"tsunami"', '"tsunamy"'))  # in none of these rows
    other = TextClassificationDataModule(str(tmp_path), max_length=7).with_rows(train=tweet_rows)
    told = differences(fresh, facts_of_data(other))
    assert [clause.split(" was ")[0] for clause in told] == ["tokenizer or image processor"]


def test_fingerprint__without_a_data_module_has_the_rest(tiny_model: str) -> None:
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, accumulate_grad_batches=3, precision="bf16-mixed"
    )
    module = TextClassifier(tiny_model)
    module.configure_model()
    found = fingerprint(trainer, module)
    assert found["accumulate_grad_batches"] == 3
    assert found["precision"] == "bf16-mixed"
    assert "data.batch_size" not in found
    wider: Any = {"intermediate_size": 64}
    other = TextClassifier(tiny_model, pretrained=False, config_overrides=wider)
    other.configure_model()
    more = fingerprint(trainer, other)
    told = [clause.split(" was ")[0] for clause in differences(found, more)]
    assert told == ["model.config_overrides", "config of the model"]


def test_fingerprint__knows_the_number_of_processes(tiny_model: str) -> None:
    module = TextClassifier(tiny_model)
    one, two = (
        pl.Trainer(accelerator="cpu", logger=False, devices=num, strategy="ddp") for num in (1, 2)
    )
    told = differences(fingerprint(two, module), fingerprint(one, module))
    assert told == ["number of processes was 2, is 1"]


def test_facts__of_a_module_are_the_settings_that_decide_its_weights(
    tiny_model: str, tiny_t5: str, tiny_vit: str
) -> None:
    class Noisy(TextClassifier):
        def __init__(self, model: str, noise: float) -> None:
            super().__init__(model)
            self.noise = noise

    more: Any = {"warmup_ratio": 0.3, "scheduler": "cosine"}
    answers: Any = {"max_new_tokens": 3}
    pairs: list[tuple[HFModule, HFModule, list[str]]] = [
        (Noisy(tiny_model, 0.1), Noisy(tiny_model, 0.2), ["model.noise"]),
        (
            ExtractiveQA(tiny_model),
            ExtractiveQA(tiny_model, num_best=3, label_smoothing=0.1, **more),
            ["model.label_smoothing", "model.scheduler", "model.warmup_ratio"],
        ),
        (GenerativeQA(tiny_t5), GenerativeQA(tiny_t5, generation=answers), []),
        (
            ImageClassifier(tiny_vit),
            ImageClassifier(tiny_vit, label_smoothing=0.1, positive_label="a"),
            ["model.label_smoothing"],
        ),
    ]
    for first, second, names in pairs:
        told = differences(facts_of_module(first), facts_of_module(second))
        assert sorted(clause.split(" was ")[0] for clause in told) == names


def test_facts__that_a_module_was_not_given_are_those_of_the_checkpoint() -> None:
    facts: dict[str, str | int | float | None] = {
        "model.config_overrides": "{}",
        "model.optimizer.lr": 0.1,
        "model.head": "x",
    }
    assert given_facts(facts, TextClassifier("none")) == {"model.head": "x"}
    module = TextClassifier(
        "none", config_overrides={"dropout": 0.1}, optimizer=lambda params: torch.optim.SGD(params)
    )
    assert given_facts(facts, module) == facts


def test_plan__holds_what_may_end_a_training() -> None:
    callbacks = [EarlyStopping("val/loss"), ModelSummary(), Timer({"hours": 1})]
    found = facts_of_plan(quiet_trainer(callbacks=callbacks, max_epochs=-1, max_steps=3))
    ending = str(found.pop("callback that may end the training"))
    assert found == {
        **{"max_epochs": None, "max_steps": 3, "max_time": 3600.0},
        **{"min_epochs": None, "min_steps": None},
    }
    assert ending.startswith("EarlyStopping(")
    assert "ModelSummary" not in ending


@pytest.mark.parametrize(
    "checkpoint",
    [{}, {"lit_hf": 1}, {"lit_hf": {"fingerprint": None}}, {"lit_hf": {"fingerprint": 3}}],
)
def test_held__is_none_where_there_is_none(checkpoint: dict[str, object]) -> None:
    assert held_fingerprint(checkpoint) is None


def test_facts__name_the_callbacks_that_have_a_part_in_the_weights() -> None:
    class Noise(pl.Callback):
        changes_weights = True

        def __init__(self, size: float) -> None:
            self.size = size

    changing = {
        "FreezeBackbone(num_epochs=2)": FreezeBackbone(2),
        "GradientAccumulationScheduler(": GradientAccumulationScheduler({1: 4}),
        "StochasticWeightAveraging(": StochasticWeightAveraging(swa_lrs=1e-3),
        "EMAWeightAveraging(": EMAWeightAveraging(),
        "Noise(size=0.5)": Noise(0.5),
    }
    watching = EarlyStopping("val/loss")
    assert facts_of_callbacks([watching]) == {}
    for name, callback in changing.items():
        (fact,) = facts_of_callbacks([watching, callback]).values()
        assert str(fact).startswith(name)
    left_out = differences(facts_of_callbacks([FreezeBackbone(2)]), facts_of_callbacks([watching]))
    assert left_out == [
        "callback that changes the weights was FreezeBackbone(num_epochs=2), is none"
    ]
    assert differences(
        facts_of_callbacks([FreezeBackbone(2)]), facts_of_callbacks([FreezeBackbone(1)])
    )
    both = [FreezeBackbone(2), EMAWeightAveraging()]
    assert facts_of_callbacks(both) == facts_of_callbacks(both[::-1])


class _OwnPrecision(MixedPrecision):
    """Rounds in a way of its own."""

    bits = 5


def test_precision_plugin__is_a_fact_where_the_name_does_not_tell_it() -> None:
    trainer = pl.Trainer(accelerator="cpu", precision="bf16-true", logger=False)
    assert facts_of_precision(trainer.precision_plugin) == {}
    own = _OwnPrecision("bf16-mixed", "cpu")
    facts = facts_of_precision(own)
    assert differences({}, {}) == []
    assert differences({}, facts) == [
        "precision plugin was the usual one, is _OwnPrecision(device=cpu, precision=bf16-mixed)"
    ]
    assert differences(facts, facts) == []


@pytest.mark.parametrize(
    ("devices", "is_asked", "layer", "wanted"),
    [
        (2, True, torch.nn.BatchNorm1d, True),
        (2, True, torch.nn.LayerNorm, False),
        (2, False, torch.nn.BatchNorm1d, False),
        (1, True, torch.nn.BatchNorm1d, False),
    ],
)
def test_sync_batchnorm__is_a_fact_where_it_decides_the_weights(
    tiny_model: str, devices: int, is_asked: bool, layer: type[torch.nn.Module], wanted: bool
) -> None:
    module = TextClassifier(tiny_model, ["a", "b"])
    module.add_module("own", layer(4))
    trainer = pl.Trainer(
        accelerator="cpu", devices=devices, strategy="ddp", sync_batchnorm=is_asked, logger=False
    )
    assert shares_norms(trainer, module) is wanted


def test_sync_batchnorm__is_told_where_it_has_changed() -> None:
    assert differences({}, {"sync_batchnorm": True}) == ["sync_batchnorm was False, is True"]
    assert differences({"sync_batchnorm": True}, {}) == ["sync_batchnorm was True, is False"]
