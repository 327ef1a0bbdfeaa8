"""What `trainer.precision` must not touch: the scores; and what it costs a training."""

import logging
from collections.abc import Callable
from typing import Self

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor, nn
from torchmetrics import Metric

from lit_hf.functional.precision import is_half, precise_dtype

log = logging.getLogger(__name__)
Convert = Callable[[Tensor], Tensor]


class PreciseScores(LightningModule):
    """Takes the precision it is given, but for metrics, loss and own buffers: float32 or better.

    Under bf16-true and 16-true Lightning calls `module.to(torch.bfloat16)`. torchmetrics lets that
    through (it only ignores `half()` and the like), and its sums then stop counting: 256 + 1 is 256
    in bfloat16. Metrics of any class are meant, wherever in the module they are, and buffers of the
    module itself; what is in `module.model` is converted.
    """

    def _apply(self, fn: Convert, recurse: bool = True) -> Self:
        """Convert or move all tensors; torch's `to`, `half`, `cuda` and others all come here."""
        kept = [
            (parent, name, child)
            for parent in (self.modules() if recurse else ())
            for name, child in parent._modules.items()
            if isinstance(child, Metric) or (parent is self and name == "loss" and child)
        ]
        buffers = {name: buffer for name, buffer in self._buffers.items() if buffer is not None}
        for parent, name, _ in kept:  # hidden, while the others are converted
            parent._modules[name] = None
        try:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch has no types
        finally:
            for parent, name, child in kept:
                parent._modules[name] = child
        for _, _, child in kept:
            assert child is not None
            child._apply(_precisely(fn))  # type: ignore[no-untyped-call]  # torch has no types
        self._buffers.update({name: _precisely(fn)(buffer) for name, buffer in buffers.items()})
        return self


def _precisely(fn: Convert) -> Convert:
    """The same conversion, but to no dtype of fewer bits than float32."""

    def convert(tensor: Tensor) -> Tensor:
        converted = fn(tensor)
        if not is_half(converted):
            return converted
        return tensor.to(converted.device, precise_dtype(converted.dtype))

    return convert


def make_precise(make: Callable[[], None]) -> None:
    """Call what makes metrics, whose states have torch's default dtype, with float32 or better."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(precise_dtype())
    try:
        make()
    finally:
        torch.set_default_dtype(before)


def warn_of_lost_updates(trainer: Trainer, model: nn.Module) -> None:
    """Say that weights in half precision hardly learn; DeepSpeed keeps precise ones beside them."""
    halves = {p.dtype for p in model.parameters() if p.requires_grad and is_half(p)}
    if not halves or not trainer.is_global_zero or isinstance(trainer.strategy, DeepSpeedStrategy):
        return
    dtype = max(halves, key=lambda half: torch.finfo(half).eps)
    log.warning(
        f"`trainer.precision: {trainer.precision}` keeps the weights in {str(dtype)[6:]}: a change "
        f"of less than 1/{round(2 / torch.finfo(dtype).eps)} of a weight is lost, and at learning "
        "rates for fine-tuning most are. Set `trainer.precision: bf16-mixed` (or 16-mixed), which "
        "keeps the weights in float32."
    )
