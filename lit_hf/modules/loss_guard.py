"""A loss that is no number ends a training before it reaches the weights; a jump of it is told.

An answer that is no number ends a prediction.

Letters: B examples in a batch.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import NamedTuple, cast

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from torch import Tensor

from lit_hf.batches import StepOutput
from lit_hf.errors import InputError, SharedFaultError

log = logging.getLogger(__name__)
_FACTOR, _NUM_USUAL = 10, 10  # how far above the largest loss is a jump, and after how many batches
_EMPTY, _USUAL, _JUMP, _BAD = range(4)  # what a look at a loss finds


class _Check(NamedTuple):
    """A batch whose loss is being looked at.

    Attributes:
        found: scalar uint8 on the CPU, the worst of all processes; filled when `is_done` has come.
        is_done: when a GPU has told; None where it is told already.
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

    On the CPU before the backward pass. A GPU is not waited for: it tells while it computes the
    gradients, and is asked before the optimizer steps. Gradients may be infinite, as they are under
    16-mixed until the scaler has found its scale. All processes of a run stop with one message.

    A loss more than ten times as large as any before is told in the same way, and trained on.
    """

    def __init__(self) -> None:
        self._checks: list[_Check] = []
        self._found: list[int] = []  # of the batches since the last optimizer step
        self._largest: Tensor | None = None  # scalar, on the device of the losses
        self._num_seen = 0

    def look(self, trainer: Trainer, output: StepOutput, batch: Mapping[str, object]) -> None:
        """Look at the loss of a batch.

        Raises:
            SharedFaultError: if it is no finite number, and known at once.
        """
        loss = output["loss"].detach()
        limit = self._limit(loss)
        found = torch.where(output["weight"] > 0, _USUAL, _EMPTY)  # of rows that all weigh nothing
        found = torch.where(loss > limit, _JUMP, found)
        found = torch.where(loss.isfinite(), found, _BAD).to(torch.uint8)
        if _is_shared(trainer):
            dist.all_reduce(found, dist.ReduceOp.MAX)
        is_done = None
        if loss.device.type == "cuda":
            told = torch.empty((), dtype=torch.uint8, pin_memory=True)
            found = told.copy_(found, non_blocking=True)
            is_done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch has no types
            is_done.record()
        losses = output["losses"]
        ids = cast("Sequence[object]", batch.get("id") or range(len(losses)))
        step = trainer.global_step
        self._checks.append(_Check(found, is_done, step, loss, limit, losses, ids))
        if is_done is None:
            self._settle(trainer)

    def _limit(self, loss: Tensor) -> Tensor:
        """Above which a loss has jumped; infinite for the first ones. Takes the loss as seen."""
        size = loss.abs()
        largest = size if self._largest is None else self._largest.to(loss.device)
        self._largest = torch.maximum(largest, size)
        self._num_seen += 1
        return largest * (_FACTOR if self._num_seen > _NUM_USUAL else math.inf)

    def settle(self, trainer: Trainer) -> None:
        """Ask what was found; before the optimizer steps.

        Raises:
            SharedFaultError: if the loss of a batch since its last step is no finite number, or if
                no row of these batches weighs anything.
        """
        self._settle(trainer)
        found, self._found = self._found, []
        if found and not any(found):
            raise SharedFaultError(
                f"all rows of the {len(found)} batches before optimizer step "
                f"{trainer.global_step + 1} have the weight 0, so there is no loss. Leave such "
                "rows out, or give some of them a weight."
            )

    def _settle(self, trainer: Trainer) -> None:
        checks, self._checks = self._checks, []
        for check in checks:
            if check.is_done is not None:
                check.is_done.synchronize()
            self._found.append(int(check.found))
            if check.found == _BAD:
                raise SharedFaultError(_message(trainer, check))
            if check.found == _JUMP:
                log.warning(_told_jump(trainer, check))


def _is_shared(trainer: Trainer) -> bool:
    return trainer.world_size > 1 and dist.is_available() and dist.is_initialized()


def _message(trainer: Trainer, check: _Check) -> str:
    """What was found where, of all processes; every process must call it."""
    loss, names = _gathered(check, check.losses.isfinite().logical_not(), math.isfinite)
    wider = ""
    if trainer.precision == "16-mixed":
        wider = " or `trainer.precision: bf16-mixed` (32-true on a GPU without bfloat16)"
    return (
        f"the loss is {loss} after {check.step} optimizer steps (epoch {trainer.current_epoch}), "
        f"for the examples {names}. The weights are as they were before. Look at these examples, "
        "and at their weights, each of which is a number of 0 or more; "
        f"else try a lower `optimizer.lr`, `trainer.gradient_clip_val: 1`{wider}."
    )


def _told_jump(trainer: Trainer, check: _Check) -> str:
    """The same of a loss that has jumped; every process must call it."""
    limit = float(check.limit)
    loss, names = _gathered(check, check.losses > check.limit, lambda loss: loss <= limit)
    return (
        f"the loss is {loss:.4g} after {check.step} optimizer steps (epoch {trainer.current_epoch}"
        f"), more than {_FACTOR} times the largest one before, for the examples {names}. It is "
        "trained on; look at these examples, or try a lower `optimizer.lr` or "
        "`trainer.gradient_clip_val: 1`."
    )


def _gathered(
    check: _Check, chosen: Tensor, is_usual: Callable[[float], bool]
) -> tuple[float, str]:
    """The first unusual loss of all processes, and the names of the chosen examples.

    Args:
        check: of this process.
        chosen: [B] bool, of its examples; all of them count where none is chosen.
        is_usual: whether a loss of this process is none to tell.
    """
    loss = float(check.loss)
    bad = list(compress(check.ids, chosen.tolist())) or list(check.ids)
    everywhere = [found := [] if is_usual(loss) else [(loss, bad)]]
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        everywhere = [found] * dist.get_world_size()
        dist.all_gather_object(everywhere, found)
    told = [one for process in everywhere for one in process]
    ids = [name for _, names in told for name in names]
    more = f" and {len(ids) - 8} more" if len(ids) > 8 else ""
    return told[0][0], f"{', '.join(map(repr, ids[:8]))}{more}"


def check_answers(answers: object) -> None:
    """Refuse answers whose numbers are NaN or infinite: of NaN logits the first class is "largest".

    Args:
        answers: what `predict_step` gives; anything but a list of dicts is left alone.

    Raises:
        InputError: naming the examples.
    """
    rows = [row for row in answers if isinstance(row, Mapping)] if isinstance(answers, list) else []
    bad = [
        row
        for row in rows
        if any(isinstance(value, float) and not math.isfinite(value) for value in row.values())
    ]
    if bad:
        names = ", ".join(repr(row["id"]) for row in bad[:8] if "id" in row)
        more = f" and {len(bad) - 8} more" if len(bad) > 8 else ""
        raise InputError(
            f"the model gives no numbers (NaN or infinite) for {len(bad)} of {len(rows)} examples "
            f"({names}{more}), so there is no answer. Where `trainer.precision` is 16-… "
            "take bf16-mixed or 32-true; else the weights are damaged, or were trained to NaN."
        )
