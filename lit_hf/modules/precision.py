"""What `trainer.precision` must not touch: the scores; and what it costs a training."""

import logging
from collections.abc import Callable, Iterator
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
        own = {name: buffer for name, buffer in self._buffers.items() if buffer is not None}
        places = list(_metrics(self)) if recurse else []
        if recurse and isinstance(loss := self._modules.get("loss"), nn.Module):
            places.append((self, "loss", loss))
        for parent, name, _ in places:
            parent.add_module(name, None)
        try:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch has no types
        finally:
            for parent, name, metric in places:
                parent.add_module(name, metric)
        keep = _precisely(fn)
        for _, _, metric in places:
            metric._apply(keep)  # type: ignore[no-untyped-call]  # torch has no types
        for name, buffer in own.items():
            self._buffers[name] = keep(buffer)
        return self


def _metrics(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Each metric, with the module that holds it and its name there."""
    for parent in module.modules():
        for name, child in parent._modules.items():  # a module that is moved may have no model yet
            if isinstance(child, Metric):
                yield parent, name, child


def _precisely(fn: Convert) -> Convert:
    """The same conversion, but to no dtype of fewer bits than float32."""

    def keep(tensor: Tensor) -> Tensor:
        converted = fn(tensor)
        if not is_half(converted):
            return converted
        return tensor.to(converted.device, precise_dtype(converted.dtype))

    return keep


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
        "rates for fine-tuning most are, so little is learnt. Set `trainer.precision: bf16-mixed` "
        "(or 16-mixed): it computes in half precision and keeps the weights in float32."
    )
