"""Checkpoints of models: what they have, and what is loaded from them."""

import shutil
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from lit_hf import InputError, MeanHead, TextClassificationDataModule, TextClassifier
from lit_hf.functional.labels import ProblemType
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


def _trainer(folder: Path, **settings: Any) -> pl.Trainer:  # noqa: ANN401 - of the Trainer
    return quiet_trainer(**{"enable_checkpointing": False, "default_root_dir": folder, **settings})


def _logits(module: TextClassifier) -> Tensor:
    ids = torch.randint(5, 300, (4, 7), generator=torch.Generator().manual_seed(0))
    module.train(False)
    with torch.no_grad():
        return cast("Tensor", module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits)


def _saved(module: TextClassifier, path: Path) -> Path:
    """The checkpoint of a module that is not trained."""
    trainer = _trainer(path.parent)
    trainer.strategy.connect(module)
    _ = module.model
    trainer.save_checkpoint(path)
    return path


def _check_plain(value: object, where: str = "") -> None:
    if isinstance(value, dict):
        assert type(value).__module__ in ("builtins", "collections"), where
        for key, part in value.items():
            assert isinstance(key, str | int | float), where
            _check_plain(part, f"{where}/{key}")
    elif isinstance(value, list | tuple):
        assert type(value) in (list, tuple), where
        for part in value:
            _check_plain(part, where)
    else:
        assert value is None or isinstance(value, str | int | float | bool | Tensor), where


@pytest.mark.parametrize("head", [None, ScaledHead])
def test_checkpoint__has_plain_types_only(
    tiny_model: str, tweet_rows: Rows, tmp_path: Path, head: type[nn.Module] | None
) -> None:
    data = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(
        train=tweet_rows, val=tweet_rows
    )
    saver = ModelCheckpoint(tmp_path / "kept", monitor="val/loss", enable_version_counter=False)
    trainer = _trainer(tmp_path, max_epochs=1, enable_checkpointing=True, callbacks=[saver])
    trainer.fit(TextClassifier(tiny_model, NAMES, head=head), data)
    content = torch.load(saver.best_model_path, weights_only=True)
    _check_plain(content)
    assert content["lit_hf"]["task"] == "text_classification"
    assert content["lit_hf"]["metrics"]["val/num_examples"] == 16
    assert content["hyper_parameters"]["pretrained"] is False
    assert content["hyper_parameters"]["config_overrides"]["id2label"] == {"0": "no", "1": "yes"}


@pytest.mark.parametrize(
    ("head", "names", "problem"),
    [
        (None, NAMES, "single_label"),
        (MeanHead, NAMES, "single_label"),
        (ScaledHead, NAMES, "single_label"),
        (None, ["a", "b", "c"], "multi_label"),
        (None, None, "regression"),
    ],
)
def test_checkpoint__loads_without_the_model_folder_and_again(
    tiny_model: str,
    tmp_path: Path,
    head: type[nn.Module] | None,
    names: list[str] | None,
    problem: ProblemType,
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    module = TextClassifier(str(folder), names, problem, head=head)
    path = _saved(module, tmp_path / "first.ckpt")
    shutil.rmtree(folder)
    again = TextClassifier.load_from_checkpoint(path, weights_only=True)
    assert (again.label_names, again.problem_type) == (module.label_names, problem)
    third = TextClassifier.load_from_checkpoint(_saved(again, tmp_path / "second.ckpt"))
    assert torch.equal(_logits(again), _logits(module))
    assert torch.equal(_logits(third), _logits(module))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_names": ["yes", "no"]}, r"\['no', 'yes'\], the data says \['yes', 'no'\]"),
        ({"label_names": NAMES, "problem_type": "multi_label"}, "problem_type"),
        ({"label_names": NAMES, "head": MeanHead}, r"weights of another model \(Missing key"),
    ],
)
def test_checkpoint__of_other_classes_or_another_head_is_refused(
    tiny_model: str, tweet_rows: Rows, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    path = _saved(TextClassifier(tiny_model, NAMES), tmp_path / "a.ckpt")
    module = TextClassifier(tiny_model, **settings)
    module.checkpoint_config = torch.load(path)["hyper_parameters"]["config_overrides"]
    data = TextClassificationDataModule(tiny_model, label_names=settings["label_names"])
    data.with_rows(val=[{"text": "fire", "label": "no"}, {"text": "song", "label": "yes"}])
    with pytest.raises(InputError, match=message):
        _trainer(tmp_path).validate(module, data, ckpt_path=path, weights_only=True)
