from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    WeightAveraging,
)
from torch import nn

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.modules.callback_checks import check_callbacks
from tests.trainers import quiet_trainer


class Positions(nn.Module):
    """Keeps whole numbers beside its weights."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer(name, torch.arange(4))


def _check(callback: Callback, module: nn.Module, num_epochs: int = 1) -> None:
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, callbacks=[callback], check_val_every_n_epoch=num_epochs
    )
    check_callbacks(trainer, module)


@pytest.mark.parametrize("kind", [WeightAveraging, EMAWeightAveraging])
def test_averages_of_whole_numbers__are_refused(kind: type[WeightAveraging]) -> None:
    with pytest.raises(InputError, match=r"\(positions\), .* Set `use_buffers: false`"):
        _check(kind(), Positions("positions"))
    _check(kind(use_buffers=False), Positions("positions"))
    _check(kind(), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))


def test_lightnings_finetuning__is_refused_with_what_to_take() -> None:
    with pytest.raises(InputError, match=r"take `lit_hf.FreezeBackbone`"):
        _check(BackboneFinetuning(), nn.Linear(2, 2))


@pytest.mark.parametrize(
    "settings",
    [
        {"every_n_train_steps": 4},
        {"train_time_interval": timedelta(minutes=5)},
        {"save_on_train_epoch_end": True},
    ],
)
def test_checkpoints_between_validations__are_not_compared_by_a_score_of_earlier_weights(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(InputError, match="monitor: null"):
        _check(ModelCheckpoint(monitor="val/loss", **settings), nn.Linear(2, 2), num_epochs=2)
    _check(ModelCheckpoint(**settings), nn.Linear(2, 2), num_epochs=2)
    _check(ModelCheckpoint(monitor="train/loss", **settings), nn.Linear(2, 2), num_epochs=2)
    _check(ModelCheckpoint(monitor="val/loss", save_on_train_epoch_end=True), nn.Linear(2, 2))


def _check_names(folder: Path, *callbacks: ModelCheckpoint, **settings: Any) -> None:  # noqa: ANN401 - of the Trainer
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        default_root_dir=folder,
        **settings,
    )
    for callback in callbacks:
        callback.setup(trainer, pl.LightningModule(), "validate")
    check_callbacks(trainer, nn.Linear(2, 2))


def _saver(folder: Path, name: str | None, **settings: Any) -> ModelCheckpoint:  # noqa: ANN401 - its own
    return ModelCheckpoint(
        folder / "checkpoints",
        name,
        **{"monitor": "val/loss", "enable_version_counter": False, **settings},
    )


def test_names__of_two_callbacks_in_one_folder_are_refused(tmp_path: Path) -> None:
    last = LastCheckpoint()
    for counts in (False, True):
        own = _saver(tmp_path, "last", enable_version_counter=counts)
        for callbacks in ([own, last], [last, own]):
            with pytest.raises(InputError, match=r"`filename: last` in .*checkpoints"):
                _check_names(tmp_path, *callbacks)
    other = _saver(tmp_path, None, monitor="val/f1", mode="max")
    with pytest.raises(InputError, match="each over the file of the other"):
        _check_names(tmp_path, _saver(tmp_path, None), other)
    _check_names(tmp_path, _saver(tmp_path, "best"), other, last)
    _check_names(tmp_path, _saver(tmp_path / "own", "last"), last)
    counted = [_saver(tmp_path, "best", enable_version_counter=True, monitor=m) for m in "ab"]
    _check_names(tmp_path, *counted)


@pytest.mark.parametrize("name", ["best", "{val/loss:.2f}", "{epoch}"])
def test_names__of_several_checkpoints_tell_them_apart(name: str, tmp_path: Path) -> None:
    often = {"val_check_interval": 0.5}
    for top_k in (2, -1):
        with pytest.raises(InputError, match=r"put \{step\} into the name"):
            _check_names(tmp_path, _saver(tmp_path, name, save_top_k=top_k), **often)
        _check_names(tmp_path, _saver(tmp_path, name + "-{step}", save_top_k=top_k), **often)
        own = _saver(tmp_path, name, save_top_k=top_k, enable_version_counter=True)
        _check_names(tmp_path, own, **often)
    _check_names(tmp_path, _saver(tmp_path, name), **often)  # a better one alone is written over it
    _check_names(tmp_path, _saver(tmp_path, None, save_top_k=3), **often)
    _check_names(tmp_path, _saver(tmp_path, "{epoch}", save_top_k=3))


def test_names__of_what_is_saved_at_an_error_are_not_those_of_the_best(tmp_path: Path) -> None:
    settings = {"save_on_exception": True, "enable_version_counter": True}
    with pytest.raises(InputError, match="the weights at an error are written over the best"):
        _check_names(tmp_path, _saver(tmp_path, "best", **settings))
    _check_names(tmp_path, _saver(tmp_path, "best-{step}", **settings))
    _check_names(tmp_path, _saver(tmp_path, "best", monitor=None, **settings))


def _train(
    model: str, rows: list[dict[str, object]], callback: Callback, folder: Path
) -> TextClassifier:
    data = TextClassificationDataModule(model, batch_size=8)
    data.with_rows(train=rows[:12], val=rows[12:])
    module = TextClassifier(model, ["0", "1"])
    trainer = quiet_trainer(max_epochs=1, callbacks=[callback], default_root_dir=folder)
    trainer.fit(module, data)
    return module


def test_checkpoint__of_a_second_training_by_the_same_callback_is_written_at_the_same_step(
    tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> None:
    callback = ModelCheckpoint(dirpath=tmp_path)
    for _ in range(2):
        module = _train(tiny_model, tweet_rows, callback, tmp_path)
        saved = torch.load(callback.best_model_path, weights_only=True)["state_dict"]
        torch.testing.assert_close(saved, dict(module.state_dict()))


@pytest.mark.filterwarnings("ignore:You.re using the WeightAveraging callback")
def test_averages__of_a_second_training_by_the_same_callback_are_taken(
    tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> None:
    callback = EMAWeightAveraging(decay=0.5, use_buffers=False)
    for _ in range(2):
        _train(tiny_model, tweet_rows, callback, tmp_path)
        assert callback._average_model is not None
        assert int(callback._average_model.n_averaged) == 2


def test_patience__of_a_second_training_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    callback = EarlyStopping("val/loss", patience=2)
    _check(callback, nn.Linear(2, 2))
    assert "earlier training" not in caplog.text
    callback.best_score, callback.wait_count = torch.tensor(0.25), 2
    _check(callback, nn.Linear(2, 2))
    assert callback.best_score == torch.inf
    assert callback.wait_count == 0
    assert "its best 'val/loss', 0.25, is of an earlier training; it begins anew" in caplog.text
