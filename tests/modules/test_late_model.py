import logging
from pathlib import Path
from typing import cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelPruning, StochasticWeightAveraging
from torch import nn

from lit_hf import HFModule, TextClassificationDataModule, TextClassifier
from tests.commands import fit_words, run_command
from tests.tasks import Task
from tests.trainers import quiet_trainer


def _train(task: Task, module: HFModule) -> None:
    data = task.data(batch_size=4, val_fraction=0).with_rows(train=task.rows(0, 8))
    quiet_trainer(max_epochs=1, enable_checkpointing=False).fit(module, data)


def test_weights__frozen_before_a_training_stay_as_they_are(any_task: Task) -> None:
    module = any_task.module()
    names = [name for name, _ in module.named_parameters()]
    assert len(names) > 10
    for name, weight in module.named_parameters():
        weight.requires_grad = name == names[-1]
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    _train(any_task, module)
    after = dict(module.named_parameters())
    changed = [name for name in names if not torch.equal(before[name], after[name])]
    assert changed == names[-1:]


def test_freeze__and_count_before_a_training(any_task: Task) -> None:
    module = any_task.module()
    module.freeze()
    assert not any(weight.requires_grad for weight in module.model.parameters())
    plain = sum(weight.numel() for weight in module.model.parameters())
    assert sum(weight.numel() for weight in any_task.module().parameters()) == plain


def test_weights__that_wait_for_the_data_are_told(
    tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    module = TextClassifier(tiny_model)
    with caplog.at_level(logging.WARNING):
        module.freeze()
    assert "`label_names`" in caplog.text
    assert list(module.parameters()) == []
    assert list(TextClassifier(tiny_model, problem_type="regression").parameters())


class _Averaging(StochasticWeightAveraging):
    """Keeps the averages that it puts into the module in the end."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.trained = [weight.detach().clone() for weight in pl_module.parameters()]
        super().on_train_end(trainer, pl_module)


def test_averages__are_of_the_weights(any_task: Task) -> None:
    module = any_task.module(scheduler="constant")
    data = any_task.data(batch_size=4, val_fraction=0).with_rows(train=any_task.rows(0, 8))
    averaging = _Averaging(swa_lrs=1e-2, swa_epoch_start=1)
    quiet_trainer(max_epochs=3, enable_checkpointing=False, callbacks=[averaging]).fit(module, data)
    found = list(module.parameters())
    assert len(found) == len(averaging.trained) > 10
    assert not all(torch.equal(a, b) for a, b in zip(found, averaging.trained, strict=True))


def test_averages__of_a_module_whose_names_the_data_knows(
    tiny_model: str, tweet_rows: list[dict[str, object]]
) -> None:
    module = TextClassifier(tiny_model, scheduler="constant")
    data = TextClassificationDataModule(tiny_model).with_rows(train=tweet_rows)
    averaging = _Averaging(swa_lrs=1e-2, swa_epoch_start=1)
    quiet_trainer(max_epochs=2, enable_checkpointing=False, callbacks=[averaging]).fit(module, data)
    assert module.label_names == ["0", "1"]
    assert averaging.trained
    assert len(list(cast("nn.Module", averaging._average_model).parameters())) > 10


def test_pruning__takes_weights_away(any_task: Task) -> None:
    module = any_task.module()
    pruning = ModelPruning("l1_unstructured", amount=0.5)
    data = any_task.data(batch_size=4, val_fraction=0).with_rows(train=any_task.rows(0, 8))
    quiet_trainer(max_epochs=1, enable_checkpointing=False, callbacks=[pruning]).fit(module, data)
    weights = torch.cat([w.flatten() for n, w in module.named_parameters() if w.ndim >= 2])
    assert float((weights == 0).float().mean()) > 0.3


@pytest.mark.parametrize(
    "callback",
    [
        ("StochasticWeightAveraging", "swa_lrs", "0.01"),
        ("ModelPruning", "pruning_fn", "l1_unstructured"),
    ],
)
def test_command__gives_callbacks_the_weights(
    callback: tuple[str, str, str], tiny_model: str, tmp_path: Path
) -> None:
    name, setting, value = callback
    words = fit_words(tiny_model, tmp_path / "run", f"--trainer.callbacks+={name}")
    done = run_command(*words, f"--trainer.callbacks.{setting}", value, folder=tmp_path)
    assert done.returncode == 0, done.stderr
