from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor
from torch.optim import SGD

from lit_hf.modules import step_mean
from lit_hf.modules.step_mean import StepMean
from tests.tasks import Task
from tests.trainers import quiet_trainer


def _step(strategy: object, batches: Sequence[float]) -> list[float]:
    """By what each mean is multiplied, and last the gradient of all, of 1 for each batch."""
    mean, weight = StepMean(), torch.ones((), requires_grad=True)
    trainer = _trainer([weight], len(batches), strategy)
    losses = []
    for own in batches:
        mean.begin_batch()
        losses.append(mean.weigh(trainer, weight, torch.tensor(own)))
        torch.autograd.backward(losses[-1] / len(batches))
    mean.divide(trainer, [weight])
    assert weight.grad is not None
    return [*(float(loss.detach()) for loss in losses), float(weight.grad)]


def _trainer(parameters: list[Tensor], accumulate: int, strategy: object = None) -> Any:  # noqa: ANN401 - what is asked of one
    return SimpleNamespace(
        strategy=strategy,
        accumulate_grad_batches=accumulate,
        world_size=1,
        optimizers=[SGD(parameters)],
    )


def test_weigh__of_deepspeed_is_by_the_batches_that_run_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody gets at its gradients, so that accumulated batches count alike."""
    strategy = object.__new__(DeepSpeedStrategy)
    assert _step(strategy, [2.0, 500.0]) == [1.0, 1.0, 1.0]
    trainer: Any = SimpleNamespace(strategy=strategy, accumulate_grad_batches=1, world_size=2)
    monkeypatch.setattr(step_mean, "_of_processes", lambda *_: torch.tensor([2.0, 6.0]))
    loss = StepMean().weigh(trainer, torch.tensor(8.0), torch.tensor(2.0))
    assert float(loss) / 2 == 8.0 * 2.0 / (2.0 + 6.0)  # the processes are averaged


def _weights(module: pl.LightningModule) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def _gradient(task: Task, batch_size: int, accumulate: int) -> Tensor:
    """That of the one optimizer step that an epoch of twelve rows takes, without dropout."""
    begin: list[Tensor] = []

    class Notes(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            begin.append(_weights(pl_module))

    pl.seed_everything(0, verbose=False)
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    module = task.module(
        optimizer=lambda params: SGD(params, lr=1.0),
        scheduler="constant",
        config_overrides={} if task.name == "generative" else off,
    )
    trainer = quiet_trainer(
        max_epochs=1,
        enable_checkpointing=False,
        precision="64-true",
        accumulate_grad_batches=accumulate,
        callbacks=[Notes()],
    )
    data = task.data(batch_size=batch_size, val_fraction=0)
    trainer.fit(module, data.with_rows(train=task.rows(0, 12)))
    assert trainer.global_step == 1
    return begin[0] - _weights(module)


def test_step__counts_each_row_alike_in_all_tasks(any_task: Task) -> None:
    """Of short last batches, and where the epoch ends before the step has its batches."""
    wanted = _gradient(any_task, 12, 1)
    for batch_size, accumulate in ((3, 4), (3, 8), (5, 3), (5, 8)):
        gradient = _gradient(any_task, batch_size, accumulate)
        assert float((gradient - wanted).norm() / wanted.norm()) < 1e-6, (batch_size, accumulate)


def test_weigh__counts_a_batch_once_however_often_its_loss_is_computed() -> None:
    """As R-Drop does, and a callback that trains on changed embeddings before the step."""
    mean, weight = StepMean(), torch.ones((), requires_grad=True)
    trainer = _trainer([weight], 2)
    for _ in range(2):
        mean.begin_batch()
        for _ in range(2):
            torch.autograd.backward(mean.weigh(trainer, weight, torch.tensor(4.0)) / 2)
    mean.divide(trainer, [weight])
    assert float(cast("Tensor", weight.grad)) == 2.0  # two losses of each batch are added
