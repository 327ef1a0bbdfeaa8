"""Trains all tasks in float64 with weights of rows, and keeps the batches and gradients of steps.

Run as a script it does so in two gloo processes; each writes what it has kept.
"""

import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from lit_hf import HFModule
from lit_hf.batches import StepOutput
from lit_hf.errors import SharedFaultError
from tests.example import example_task
from tests.tasks import TASKS, Row, Task, task_of
from tests.trainers import quiet_trainer

SMOOTHING = 0.1
WEIGHTS = (0.3, 0.0, 1.7, 0.1, 2.9, 0.7, 0.0, 5.3, 0.2)


class Case(NamedTuple):
    """A training of one epoch.

    Attributes:
        weights: of the rows.
        accumulate: batches of a step; a batch is of two rows, on two processes of one each.
        has_loss: whether the loss is one of torch, with weights of classes and smoothing.
    """

    weights: tuple[float, ...]
    accumulate: int = 1
    has_loss: bool = False


CASES = {
    "plain": Case(WEIGHTS, 3),  # the last of two windows has two batches, the last one a row
    "injected": Case(WEIGHTS, 3, has_loss=True),
    "half": Case((0.0, 1.3)),  # the row of one process weighs nothing
}
NOTHING = Case((0.0, 0.0, 1.0, 0.0))  # so do both rows of one of the two steps


@dataclass
class Found:
    """What a training has kept.

    Attributes:
        begin: the weights before it, one after another.
        gradients: of each step.
        batches: of each step, as the module got them.
        losses: of each step loss and weight of its batches.
    """

    begin: Tensor
    gradients: list[Tensor] = field(default_factory=list)
    batches: list[list[Mapping[str, Any]]] = field(default_factory=list)
    losses: list[list[tuple[float, float]]] = field(default_factory=list)


class Keeps(pl.Callback):
    """Keeps what a training gives."""

    found: Found

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin, and look into each step."""
        module = cast("HFModule", pl_module)
        self.found = Found(flat(module.model))
        self.batches: list[Mapping[str, Any]] = []
        self.losses: list[tuple[float, float]] = []
        step = module.step

        def kept(batch: Mapping[str, Any], stage: Any) -> StepOutput:  # noqa: ANN401 - of the module
            output = step(batch, stage)
            self.batches.append(batch)
            self.losses.append((float(output["loss"].detach()), float(output["weight"])))
            return output

        module.step = kept  # type: ignore[method-assign]  # of this module alone

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object
    ) -> None:
        """Take the gradients of a step, which stay until the next one."""
        if trainer.global_step > len(self.found.gradients):
            self.found.gradients.append(gradients(cast("HFModule", pl_module).model))
            self.found.batches.append(self.batches)
            self.found.losses.append(self.losses)
            self.batches, self.losses = [], []


def flat(model: nn.Module) -> Tensor:
    """All weights one after another."""
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def gradients(model: nn.Module) -> Tensor:
    """The gradients of all weights one after another."""
    return torch.cat(
        [
            (torch.zeros_like(w) if w.grad is None else w.grad.clone()).flatten()
            for w in model.parameters()
        ]
    )


def loss_of(task: str, module: HFModule) -> nn.CrossEntropyLoss:
    """A loss of torch with smoothing, and weights of classes but for spans, which have none."""
    if task == "extractive":
        return nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    config = module.model.config
    num = config.vocab_size if task == "generative" else config.num_labels
    return nn.CrossEntropyLoss(torch.linspace(0.4, 1.9, num), label_smoothing=SMOOTHING)


def rows_of(task: Task, case: Case) -> list[Row]:
    """Rows with weights."""
    rows = task.rows(0, len(case.weights))
    return [{**row, "importance": w} for row, w in zip(rows, case.weights, strict=True)]


def train(task: Task, case: Case, devices: int, folder: str) -> tuple[HFModule, Found]:
    """Train an epoch that changes no weight, so that each step is at the same ones."""
    pl.seed_everything(0, verbose=False)
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    settings: dict[str, Any] = {
        "optimizer": lambda params: torch.optim.SGD(params, lr=0.0),
        "scheduler": "constant",
        "config_overrides": {} if task.name == "generative" else off,
    }
    if case.has_loss:
        settings["loss"] = loss_of(task.name, task.module(**settings))
        pl.seed_everything(0, verbose=False)
    module, keeps = task.module(**settings), Keeps()
    data = task.data(batch_size=2 // devices, val_fraction=0, weight_column="importance")
    trainer = quiet_trainer(
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        accumulate_grad_batches=case.accumulate,
        max_epochs=1,
        precision="64-true",
        enable_checkpointing=False,
        default_root_dir=folder,
        callbacks=[keeps],
    )
    trainer.fit(module, data.with_rows(train=rows_of(task, case)))
    return module, keeps.found


def tasks_in(folder: str) -> list[Task]:
    """All tasks, that of the example too, whose models lie in a folder."""
    models = [f"{folder}/{name}" for name in ("bert", "bart", "vit")]
    return [*(task_of(name, *models) for name in TASKS), example_task(models[0])]


def main(folder: str) -> None:
    """Train in two processes."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found: dict[str, object] = {
        f"{task.name} {name}": vars(train(task, case, 2, folder)[1])
        for task in tasks_in(folder)
        for name, case in CASES.items()
    }
    for task in tasks_in(folder):
        try:
            train(task, NOTHING, 2, folder)
        except SharedFaultError as error:
            found[f"{task.name} nothing"] = str(error)
    torch.save(found, f"{folder}/found-{torch.distributed.get_rank()}.pt")


if __name__ == "__main__":
    main(sys.argv[1])
