"""Checkpoints of models: what they hold, and what is gone on with from them."""

import shutil
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lit_hf import InputError, MeanHead, TextClassificationDataModule, TextClassifier
from lit_hf.batches import TextBatch
from lit_hf.checkpointing.reader import (
    check_task,
    read_checkpoint,
)
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.early_stops import reached
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]
NAMES = ["no", "yes"]


class ScaledHead(nn.Module):
    """A user's own head, of a module that is no part of lit_hf."""

    def __init__(self, hidden_size: int, num_labels: int, scale: float = 3.0) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_labels = num_labels
        self.scale = scale
        self.out = nn.Linear(hidden_size, num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        return cast("Tensor", self.out(hidden_states[:, 0]) * self.scale)


@pytest.fixture
def model_folder(tiny_model: str, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may delete."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def _batch(seed: int = 0, num_rows: int = 4) -> TextBatch:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 300, (num_rows, 7), generator=generator)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": torch.randint(0, 2, (num_rows,), generator=generator),
    }


def _loader(num_batches: int) -> "DataLoader[TextBatch]":
    batches = [_batch(seed) for seed in range(num_batches)]
    return DataLoader(cast("Dataset[TextBatch]", batches), batch_size=None)


def _trainer(folder: Path, **settings: Any) -> pl.Trainer:  # noqa: ANN401 - of the Trainer
    return quiet_trainer(**{"enable_checkpointing": False, "default_root_dir": folder, **settings})


def _logits(module: TextClassifier, batch: TextBatch | None = None) -> Tensor:
    module.train(False)
    with torch.no_grad():
        return cast("Tensor", module(batch or _batch()).logits)


def _trained(
    folder: Path,
    model: Path | str,
    num_steps: int = 2,
    **settings: Any,  # noqa: ANN401 - of TextClassifier
) -> tuple[TextClassifier, Path]:
    """A module after some steps, and the checkpoint that the Trainer wrote of it."""
    module = TextClassifier(str(model), NAMES, **settings)
    trainer = _trainer(folder, max_steps=num_steps)
    trainer.fit(module, _loader(num_steps))
    path = folder / "trained.ckpt"
    trainer.save_checkpoint(path)
    return module, path


def _plain(value: object, where: str = "") -> None:
    if isinstance(value, dict):
        assert type(value).__module__ in ("builtins", "collections"), where
        for key, part in value.items():
            assert isinstance(key, str | int | float), where
            _plain(part, f"{where}/{key}")
    elif isinstance(value, list | tuple):
        assert type(value) in (list, tuple), where
        for part in value:
            _plain(part, where)
    else:
        assert value is None or isinstance(value, str | int | float | bool | Tensor), where


@pytest.mark.parametrize("head", [None, MeanHead, ScaledHead])
def test_checkpoint__holds_plain_types_only(
    tiny_model: str, tweet_rows: Rows, tmp_path: Path, head: type[nn.Module] | None
) -> None:
    data = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(
        train=tweet_rows, val=tweet_rows
    )
    saver = ModelCheckpoint(tmp_path / "kept", monitor="val/loss", enable_version_counter=False)
    trainer = _trainer(tmp_path, max_epochs=1, enable_checkpointing=True, callbacks=[saver])
    trainer.fit(TextClassifier(tiny_model, NAMES, head=head), data)
    content = torch.load(saver.best_model_path, weights_only=True)
    _plain(content)
    assert content["lit_hf"]["task"] == "text_classification"
    assert content["lit_hf"]["metrics"]["val/num_examples"] == 16
    assert content["hyper_parameters"]["pretrained"] is False
    assert content["hyper_parameters"]["label_names"] == NAMES
    assert content["hyper_parameters"]["config_overrides"]["id2label"] == {"0": "no", "1": "yes"}
    assert not any("scores" in name or "metrics" in name for name in content["state_dict"])


@pytest.mark.parametrize("head", [None, MeanHead, ScaledHead])
def test_checkpoint__gives_the_same_logits_without_the_model_folder(
    model_folder: Path, tmp_path: Path, head: type[nn.Module] | None
) -> None:
    module, path = _trained(tmp_path, model_folder, head=head)
    want = _logits(module)
    shutil.rmtree(model_folder)
    again = TextClassifier.load_from_checkpoint(path, weights_only=True)
    assert torch.equal(_logits(again), want)
    assert again.label_names == NAMES
    assert again.model.config.id2label == {0: "no", 1: "yes"}


@pytest.mark.parametrize("problem", ["multi_label", "regression"])
def test_checkpoint__knows_its_problem(
    model_folder: Path, tmp_path: Path, problem: ProblemType
) -> None:
    names = ["a", "b", "c"] if problem == "multi_label" else None
    module = TextClassifier(str(model_folder), names, problem)
    trainer = _trainer(tmp_path)
    trainer.strategy.connect(module)
    want = _logits(module)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    shutil.rmtree(model_folder)
    again = TextClassifier.load_from_checkpoint(tmp_path / "x.ckpt", weights_only=True)
    assert again.problem_type == problem
    assert torch.equal(_logits(again), want)
    batch = cast("dict[str, object]", _batch())
    assert again.predict_step(batch, 0) == module.predict_step(batch, 0)


def test_checkpoint__of_a_checkpoint_is_as_good_as_the_first(
    model_folder: Path, tmp_path: Path
) -> None:
    module, path = _trained(tmp_path, model_folder, head=ScaledHead)
    shutil.rmtree(model_folder)
    again = TextClassifier.load_from_checkpoint(path, weights_only=True)
    trainer = _trainer(tmp_path)
    trainer.strategy.connect(again)
    trainer.save_checkpoint(tmp_path / "second.ckpt")
    third = TextClassifier.load_from_checkpoint(tmp_path / "second.ckpt", weights_only=True)
    assert torch.equal(_logits(third), _logits(module))


# Going on.


@pytest.mark.parametrize("head", [None, ScaledHead])
def test_resume__needs_no_model_folder_and_reaches_the_same_weights(
    model_folder: Path, tmp_path: Path, head: type[nn.Module] | None
) -> None:
    settings: dict[str, Any] = {
        "head": head,
        "config_overrides": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        "warmup_ratio": 0.0,
    }
    whole = TextClassifier(str(model_folder), NAMES, **settings)
    first_weights = {name: w.clone() for name, w in whole.model.state_dict().items()}
    _trainer(tmp_path, max_epochs=2).fit(whole, _loader(3))

    half = TextClassifier(str(model_folder), NAMES, **settings)
    half.model.load_state_dict(first_weights)
    saver = ModelCheckpoint(tmp_path, "epoch-{epoch}", save_top_k=-1, enable_version_counter=False)
    trainer = _trainer(tmp_path, max_epochs=2, enable_checkpointing=True, callbacks=[saver])
    trainer.fit(half, _loader(3))
    shutil.rmtree(model_folder)

    rest = TextClassifier(str(model_folder), NAMES, **settings)
    saver = ModelCheckpoint(tmp_path, "epoch-{epoch}", save_top_k=-1, enable_version_counter=False)
    trainer = _trainer(tmp_path, max_epochs=2, enable_checkpointing=True, callbacks=[saver])
    path = tmp_path / "epoch-epoch=0.ckpt"
    assert cast("int", read_checkpoint(path)["global_step"]) == 3
    trainer.fit(rest, _loader(3), ckpt_path=str(path), weights_only=True)
    assert trainer.global_step == 6
    for name, weight in rest.model.state_dict().items():
        assert torch.allclose(weight, whole.model.state_dict()[name], atol=1e-7), name


def test_validate__from_a_checkpoint_needs_no_model_folder(
    model_folder: Path, tmp_path: Path
) -> None:
    module, path = _trained(tmp_path, model_folder)
    want = _trainer(tmp_path).validate(module, _loader(3), verbose=False)
    shutil.rmtree(model_folder)
    fresh = TextClassifier(str(model_folder), NAMES)
    got = _trainer(tmp_path).validate(
        fresh, _loader(3), ckpt_path=str(path), weights_only=True, verbose=False
    )
    assert got == want


@pytest.mark.parametrize(
    ("names", "problem", "message"),
    [
        (["yes", "no"], "single_label", r"\['no', 'yes'\], the data says \['yes', 'no'\]"),
        (["no", "perhaps", "yes"], "single_label", r"\['no', 'yes'\], the data says"),
        (NAMES, "multi_label", "problem type 'single_label_classification'"),
    ],
)
def test_validate__refuses_a_checkpoint_of_other_classes(
    tiny_model: str, tmp_path: Path, names: list[str], problem: ProblemType, message: str
) -> None:
    _, path = _trained(tmp_path, tiny_model)
    module = TextClassifier(tiny_model, names, problem)
    with pytest.raises(InputError, match=message):
        _trainer(tmp_path).validate(
            module, _loader(1), ckpt_path=str(path), weights_only=True, verbose=False
        )


@pytest.mark.parametrize(("first", "second"), [(None, MeanHead), (MeanHead, ScaledHead)])
def test_resume__with_another_head_is_refused(
    tiny_model: str, tmp_path: Path, first: type[nn.Module] | None, second: type[nn.Module]
) -> None:
    _, path = _trained(tmp_path, tiny_model, head=first)
    module = TextClassifier(tiny_model, NAMES, head=second)
    with pytest.raises(InputError, match=r"weights of another model \(Missing key.*`head`"):
        _trainer(tmp_path, max_steps=4).fit(
            module, _loader(2), ckpt_path=str(path), weights_only=True
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lit_hf": None}, "wanted a checkpoint of the task 'text_classification', found None"),
        ({"lit_hf": {"task": "extractive_qa"}}, "found 'extractive_qa'"),
        ({"hyper_parameters": "x"}, "damaged, or no checkpoint"),
        ({"hyper_parameters": {"config_overrides": 5}}, "the model's config is not in it"),
        ({"pytorch-lightning_version": None}, "the model's config is not in it"),
    ],
)
def test_task__is_checked_before_a_model_is_built(
    tiny_model: str, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    _, path = _trained(tmp_path, tiny_model)
    content = {**torch.load(path, weights_only=True), **change}
    torch.save({key: part for key, part in content.items() if part is not None}, path)
    with pytest.raises(InputError, match=message):
        check_task(path, read_checkpoint(path), "text_classification")
    with pytest.raises(InputError, match=message):
        _trainer(tmp_path).validate(
            TextClassifier(tiny_model, NAMES), _loader(1), ckpt_path=str(path), weights_only=True
        )


def test_config__of_a_checkpoint_that_makes_no_model_is_told(
    tiny_model: str, tmp_path: Path
) -> None:
    _, path = _trained(tmp_path, tiny_model)
    for name, value in (("model_type", "nope"), ("hidden_size", "wide"), ("hidden_act", "no")):
        content = torch.load(path, weights_only=True)
        content["hyper_parameters"]["config_overrides"][name] = value
        torch.save(content, tmp_path / "changed.ckpt")
        with pytest.raises(InputError, match=r"be used: |model of this config"):
            TextClassifier.load_from_checkpoint(tmp_path / "changed.ckpt", weights_only=True)


def test_reached__counts_whole_epochs_only(tiny_model: str, tmp_path: Path) -> None:
    saver = ModelCheckpoint(
        tmp_path, "{step}", save_top_k=-1, every_n_train_steps=1, save_on_train_epoch_end=False
    )
    trainer = _trainer(tmp_path, max_epochs=2, enable_checkpointing=True, callbacks=[saver])
    trainer.fit(TextClassifier(tiny_model, NAMES), _loader(2))
    found = [reached(read_checkpoint(tmp_path / f"step={step}.ckpt")) for step in (1, 2, 3, 4)]
    assert found == [(0, 1), (1, 2), (1, 3), (2, 4)]
