"""A loss that is no number any more ends a training before it reaches the weights.

Letters: B examples in a batch.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import NamedTuple, cast

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from torch import Tensor

from lit_hf.batches import StepOutput
from lit_hf.errors import SharedFaultError


class _Check(NamedTuple):
    """A batch whose loss is being looked at.

    Attributes:
        is_bad: scalar uint8 on the CPU, of all processes; filled when `is_done` has come.
        is_done: when a GPU has told; None where it is told already.
        step: optimizer steps before the batch.
        loss: scalar.
        losses: [B], of its examples.
        ids: B names of them.
    """

    is_bad: Tensor
    is_done: torch.cuda.Event | None
    step: int
    loss: Tensor
    losses: Tensor
    ids: Sequence[object]


class FiniteLoss:
    """Stops a training at a loss that is NaN or infinite, with step and examples.

    On the CPU before the backward pass. A GPU is not waited for: it tells while it computes the
    gradients, and is asked before the optimizer steps. Gradients may be infinite, as they are under
    16-mixed until the scaler has found its scale. All processes of a run stop with one message.
    """

    def __init__(self) -> None:
        self._checks: list[_Check] = []

    def look(self, trainer: Trainer, output: StepOutput, batch: Mapping[str, object]) -> None:
        """Look at the loss of a batch.

        Raises:
            SharedFaultError: if it is no finite number, and known at once.
        """
        loss = output["loss"].detach()
        is_bad = torch.isfinite(loss).logical_not().to(torch.uint8)
        if _is_shared(trainer):
            dist.all_reduce(is_bad, dist.ReduceOp.MAX)
        is_done = None
        if loss.device.type == "cuda":
            told = torch.empty((), dtype=torch.uint8, pin_memory=True)
            is_bad = told.copy_(is_bad, non_blocking=True)
            is_done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch has no types
            is_done.record()
        losses = output["losses"]
        ids = cast("Sequence[object]", batch.get("id") or range(len(losses)))
        self._checks.append(_Check(is_bad, is_done, trainer.global_step, loss, losses, ids))
        if is_done is None:
            self.settle(trainer)

    def settle(self, trainer: Trainer) -> None:
        """Ask what was found; before the optimizer steps.

        Raises:
            SharedFaultError: if the loss of a batch since its last step is no finite number.
        """
        checks, self._checks = self._checks, []
        for check in checks:
            if check.is_done is not None:
                check.is_done.synchronize()
            if check.is_bad:
                raise SharedFaultError(_message(trainer, check))


def _is_shared(trainer: Trainer) -> bool:
    return trainer.world_size > 1 and dist.is_available() and dist.is_initialized()


def _message(trainer: Trainer, check: _Check) -> str:
    """What was found where, of all processes; every process must call it."""
    loss, is_bad = float(check.loss), check.losses.isfinite().logical_not().tolist()
    bad = list(compress(check.ids, is_bad)) or list(check.ids)
    found = [(loss, bad)] if not math.isfinite(loss) else []
    everywhere = [found]
    if _is_shared(trainer):
        everywhere = [found] * dist.get_world_size()
        dist.all_gather_object(everywhere, found)
    told = [one for process in everywhere for one in process]
    ids = [name for _, names in told for name in names]
    more = f" and {len(ids) - 8} more" if len(ids) > 8 else ""
    is_half = trainer.precision == "16-mixed"
    fewer_bits = " or `trainer.precision: bf16-mixed`" if is_half else ""
    return (
        f"the loss is {told[0][0]} after {check.step} optimizer steps (epoch "
        f"{trainer.current_epoch}), for the examples {', '.join(map(repr, ids[:8]))}{more}. The "
        "weights are as they were before. Look at these examples; else try a lower "
        f"`model.optimizer.lr`, `trainer.gradient_clip_val: 1`{fewer_bits}."
    )
