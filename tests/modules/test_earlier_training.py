"""A training that begins anew says what of an earlier one goes on in it, and what does not."""

import logging
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.tuner.tuning import Tuner

from lit_hf import HFModule
from lit_hf.modules.earlier_training import changed_settings
from tests.tasks import Task
from tests.trainers import quiet_trainer

TRAINED, OTHER = "were trained before", "was trained by another optimizer"


def _sgd(parameters: Any) -> torch.optim.Optimizer:  # noqa: ANN401 - of any optimizer
    return torch.optim.SGD(parameters, lr=0.5)


def _fit(task: Task, module: HFModule, first: int = 0, **settings: Any) -> pl.Trainer:  # noqa: ANN401 - of the Trainer
    data = task.data(batch_size=4, val_fraction=0).with_rows(train=task.rows(first, 4))
    path = settings.pop("path", None)
    trainer = quiet_trainer(**{"max_epochs": 1, "enable_checkpointing": False, **settings})
    trainer.fit(module, data, ckpt_path=path, weights_only=path and True)
    return trainer


def test_optimizer__that_a_loaded_module_lacks_is_told(
    any_task: Task, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lit_hf")
    module, path = any_task.module(optimizer=_sgd), tmp_path / "a.ckpt"
    _fit(any_task, module).save_checkpoint(path)
    _fit(any_task, any_task.module(optimizer=_sgd), path=path, max_epochs=2)  # resumes
    load = type(module).load_from_checkpoint
    _fit(any_task, load(path, weights_only=True, optimizer=_sgd))
    assert (OTHER in caplog.text, TRAINED in caplog.text) == (False, False)
    again = load(path, weights_only=True)
    _fit(any_task, again)
    assert OTHER in caplog.text
    assert "AdamW" in caplog.text
    assert "lr was 0.5, is " in caplog.text
    assert "momentum 0" in caplog.text


def test_optimizer__that_is_the_same_is_not_told(
    any_task: Task, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lit_hf")
    module, path = any_task.module(), tmp_path / "a.ckpt"
    _fit(any_task, module).save_checkpoint(path)
    _fit(any_task, type(module).load_from_checkpoint(path, weights_only=True))
    assert OTHER not in caplog.text


def test_settings__compare_the_rate_before_its_schedule() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    held = {**optimizer.state_dict()["param_groups"][0], "lr": 0.0, "initial_lr": 0.1}
    assert changed_settings(held, optimizer) == []
    assert changed_settings({**held, "fused": True, "betas": (0.9, 0.9)}, optimizer) == [
        "betas was (0.9, 0.9), is (0.9, 0.999)"
    ]


def test_weights__that_another_trainer_has_trained_are_told_once(
    any_task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lit_hf")
    module = any_task.module()
    trainer = _fit(any_task, module)
    trainer.fit_loop.max_epochs = 2  # the same Trainer goes on
    trainer.fit(
        module, any_task.data(batch_size=4, val_fraction=0).with_rows(train=any_task.rows(0, 4))
    )
    assert TRAINED not in caplog.text
    _fit(any_task, module, first=4)
    assert caplog.text.count("were trained before (2 steps)") == 1


def test_search__for_batch_size_and_rate_is_no_training(
    any_task: Task, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lit_hf")
    module: Any = any_task.module()
    module.lr = 1e-3
    data = any_task.data(batch_size=2, val_fraction=0).with_rows(train=any_task.rows(0, 8))
    trainer = quiet_trainer(max_epochs=1, default_root_dir=tmp_path)
    Tuner(trainer).scale_batch_size(module, datamodule=data, init_val=2, max_trials=2)
    trainer.fit(module, data)
    assert TRAINED not in caplog.text
