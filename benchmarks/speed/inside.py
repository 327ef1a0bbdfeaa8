"""Seconds spent in what every training does; the rest of a training is what a framework costs."""

import time
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer, adam


class Inside:
    """Adds up the seconds in the model, the backward pass, the clipping and the optimizer.

    Attributes:
        seconds: between `begin` and `end`.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._before: list[tuple[object, str, object]] = []

    def begin(self, model: nn.Module) -> None:
        """Time a model, and in this process all the rest."""
        places: tuple[tuple[object, str], ...] = (
            (model, "forward"),
            (torch.Tensor, "backward"),
            (nn.utils, "clip_grad_norm_"),
            (adam, "adam"),  # where AdamW computes
            (Optimizer, "zero_grad"),
        )
        for owner, name in places:
            function = getattr(owner, name)
            self._before.append((owner, name, function))
            setattr(owner, name, self._timed(function))

    def end(self) -> float:
        """Leave them as they were; the seconds."""
        for owner, name, function in self._before:
            setattr(owner, name, function)
        self._before = []
        return self.seconds

    def _timed(self, function: Callable[..., object]) -> Callable[..., object]:
        def timed(*args: object, **options: object) -> object:
            start = time.perf_counter()
            result = function(*args, **options)
            self.seconds += time.perf_counter() - start
            return result

        return timed
