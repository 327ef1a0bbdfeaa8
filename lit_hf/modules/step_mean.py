"""The mean loss of an optimizer step, over all rows, windows or tokens of its batches."""

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor


class StepMean:
    """Weighs batches by their rows, windows or tokens when one optimizer step takes several.

    Lightning divides each loss by the number of accumulated batches, and data-parallel strategies
    average over processes: a token of a batch of few tokens would count more than others, and so
    would a row of a short last batch. Here the mean of each batch is multiplied by its weight
    before the backward pass, and before the optimizer steps (and gradients are clipped) the
    gradients are divided by the weight of all batches on all processes:

        loss_b * weight_b / unit   averaged over K = accumulated batches x processes
        gradients * K * unit / sum of weight_b

    The unit is the largest weight of a step's first batches: it cancels out, and keeps losses the
    size of means, since bare sums overflow in float16. Of equal batches nothing is rounded.
    DeepSpeed keeps gradients to itself, so there the loss is divided by the weights of the batches
    that all processes run at once, and accumulated ones are averaged as ever.
    """

    def __init__(self) -> None:
        self._unit: Tensor | None = None  # scalar
        self._total: Tensor | None = None  # scalar, the weight of all batches of a step so far
        self._is_counted = False  # whether the batch that is trained is in the total

    def begin_batch(self) -> None:
        """Count the batch that comes once, however often its loss is computed, as R-Drop does."""
        self._is_counted = False

    def weigh(self, trainer: Trainer, loss: Tensor, weight: Tensor) -> Tensor:
        """Multiply the mean loss of a batch by its weight, if a step takes other batches too.

        Args:
            trainer: the Trainer that runs the step; all of its processes call this.
            loss: scalar mean over the batch.
            weight: scalar, the sum of the weights that it is a mean over.
        """
        if _num_batches(trainer) == 1:
            return loss
        own = weight.to(loss.device, torch.promote_types(loss.dtype, torch.float32))
        everywhere = _of_processes(trainer, own)
        if isinstance(trainer.strategy, DeepSpeedStrategy):
            return loss * (own / _or_one(everywhere.mean()))
        if self._unit is None or self._total is None:
            self._unit, self._total = _or_one(everywhere.max()), everywhere.sum()
        elif not self._is_counted:
            self._total = self._total + everywhere.sum()
        self._is_counted = True
        return loss * (own / self._unit)

    def divide(self, trainer: Trainer, parameters: list[Tensor]) -> None:
        """Divide the gradients of a step by the weight of all that they are of."""
        if self._unit is None or self._total is None:  # nothing has been weighed
            return
        factor = _num_batches(trainer) * self._unit / _or_one(self._total)
        self._unit = self._total = None
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)


def _or_one(weight: Tensor) -> Tensor:
    """A weight to divide by; 1 where it is 0, and so is what is divided."""
    return weight.where(weight > 0, 1)


def _num_batches(trainer: Trainer) -> int:
    """How many batches an optimizer step takes, over which their losses are averaged."""
    return trainer.accumulate_grad_batches * trainer.world_size


def _of_processes(trainer: Trainer, number: Tensor) -> Tensor:
    """The numbers of all processes, [processes]."""
    if trainer.world_size == 1:
        return number.reshape(1)
    found = [torch.empty_like(number) for _ in range(trainer.world_size)]
    torch.distributed.all_gather(found, number)
    return torch.stack(found)
