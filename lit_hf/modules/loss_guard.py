"""A loss that is no number ends a training before it reaches the weights; a jump of it is reported.

An answer that is no number ends a prediction.

Letters: B examples in a batch.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import NamedTuple, cast

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from torch import Tensor

from lit_hf.batches import StepOutput
from lit_hf.errors import InputError, SharedFaultError
from lit_hf.metrics.gathered import num_processes, over_processes

log = logging.getLogger(__name__)
_FACTOR, _NUM_FIRST = 10, 10  # how far above the largest loss is a jump, and after how many batches
_EMPTY, _USUAL, _JUMP, _BAD = range(4)  # what a check finds; the worst of all processes counts


class _Check(NamedTuple):
    """A batch whose loss is being checked.

    Attributes:
        found: scalar uint8 on the CPU, the worst of all processes; filled when `is_done` has come.
        is_done: when a GPU has filled it; None where it is filled already.
        step: optimizer steps before the batch.
        loss: scalar.
        limit: scalar, above which the loss of this process has jumped.
        losses: [B], of its examples.
        ids: B names of them.
    """

    found: Tensor
    is_done: torch.cuda.Event | None
    step: int
    loss: Tensor
    limit: Tensor
    losses: Tensor
    ids: Sequence[object]


class LossGuard:
    """Stops a training at a loss that is NaN or infinite, with step and examples.

    On the CPU before the backward pass. A GPU is not waited for: its result is copied while it
    computes the gradients, and read before the optimizer steps. Gradients may be infinite, as they
    are under 16-mixed until the scaler has found its scale. All processes stop with one message.

    A loss more than ten times as large as any before is reported alike, and trained on.
    """

    def __init__(self) -> None:
        self._checks: list[_Check] = []
        self._found: list[int] = []  # of the batches since the last optimizer step
        self._largest: Tensor | None = None  # scalar, on the device of the losses
        self._num_seen = 0

    def check(self, trainer: Trainer, output: StepOutput, batch: Mapping[str, object]) -> None:
        """Check the loss of a batch.

        Raises:
            SharedFaultError: if it is no finite number, and known at once.
        """
        loss = output["loss"].detach()
        limit = self._limit(loss)
        found = torch.where(output["weight"] > 0, _USUAL, _EMPTY)  # of rows that all weigh nothing
        found = torch.where(loss > limit, _JUMP, found)
        found = torch.where(loss.isfinite(), found, _BAD).to(torch.uint8)
        if num_processes() > 1:
            dist.all_reduce(found, dist.ReduceOp.MAX)
        is_done = None
        if loss.device.type == "cuda":
            on_cpu = torch.empty((), dtype=torch.uint8, pin_memory=True)
            found = on_cpu.copy_(found, non_blocking=True)
            is_done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch has no types
            is_done.record()
        losses = output["losses"]
        ids = cast("Sequence[object]", batch.get("id") or range(len(losses)))
        check = _Check(found, is_done, trainer.global_step, loss, limit, losses, ids)
        self._checks.append(check)
        if is_done is None:
            self._read(trainer)

    def _limit(self, loss: Tensor) -> Tensor:
        """Above which a loss has jumped; infinite for the first ones. Takes the loss as seen."""
        largest = loss.abs() if self._largest is None else self._largest.to(loss.device)
        self._largest = torch.maximum(largest, loss.abs())
        self._num_seen += 1
        return largest * (_FACTOR if self._num_seen > _NUM_FIRST else math.inf)

    def raise_if_bad(self, trainer: Trainer) -> None:
        """Read what was found; before the optimizer steps.

        Raises:
            SharedFaultError: if the loss of a batch since its last step is no finite number, or if
                no row of these batches weighs anything.
        """
        self._read(trainer)
        found, self._found = self._found, []
        if found and max(found) == _EMPTY:
            raise SharedFaultError(
                f"all rows of the {len(found)} batches before optimizer step "
                f"{trainer.global_step + 1} have the weight 0, so there is no loss. Leave such "
                "rows out, or give some of them a weight."
            )

    def _read(self, trainer: Trainer) -> None:
        checks, self._checks = self._checks, []
        for check in checks:
            if check.is_done is not None:
                check.is_done.synchronize()
            self._found.append(int(check.found))
            if check.found >= _JUMP:
                _report(trainer, check)


def _report(trainer: Trainer, check: _Check) -> None:
    """Warn of a jump or raise an error, with the examples of all processes; each must call it."""
    is_odd = ~check.losses.isfinite() | (check.losses > check.limit)
    names = list(compress(check.ids, is_odd.tolist())) or list(check.ids)
    loss = float(check.loss)
    is_mine = not math.isfinite(loss) or loss > float(check.limit)
    everywhere = [own for own in over_processes((loss, names) if is_mine else None) if own]
    examples = _listed([name for _, own_names in everywhere for name in own_names])
    where = (
        f"the loss is {everywhere[0][0]:.4g} after {check.step} optimizer steps (epoch "
        f"{trainer.current_epoch}), for the examples {examples}"
    )
    advice = "a lower `optimizer.lr` or `trainer.gradient_clip_val: 1`"
    if check.found == _JUMP:
        log.warning(
            f"{where}, more than {_FACTOR} times the largest one before. It is trained on; look at "
            f"these examples, or try {advice}."
        )
        return
    if trainer.precision == "16-mixed":
        advice += ", or `trainer.precision: bf16-mixed` (32-true on a GPU without bfloat16)"
    raise SharedFaultError(
        f"{where}. The weights are as they were before. Look at these examples and at their "
        f"weights, numbers of 0 or more; else try {advice}."
    )


def _listed(names: Sequence[object]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(map(repr, names[:8])) + more


def check_answers(answers: object) -> None:
    """Refuse answers whose numbers are NaN or infinite: of NaN logits the first class is "largest".

    Args:
        answers: what `predict_step` gives; anything but a list of dicts is left alone.

    Raises:
        InputError: naming the examples.
    """
    rows = [row for row in answers if isinstance(row, Mapping)] if isinstance(answers, list) else []
    bad = [
        row.get("id", number)
        for number, row in enumerate(rows)
        if any(isinstance(value, float) and not math.isfinite(value) for value in row.values())
    ]
    if bad:
        raise InputError(
            f"the model gives no numbers (NaN or infinite) for {len(bad)} of {len(rows)} examples "
            f"({_listed(bad)}). Where `trainer.precision` is 16-… take bf16-mixed or 32-true; else "
            "the weights are corrupt, or were trained to NaN."
        )
