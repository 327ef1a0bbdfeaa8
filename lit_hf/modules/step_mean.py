"""The mean loss of an optimizer step, over all that its batches are of."""

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor


class StepMean:
    """Weighs batches by their rows, windows or tokens when one optimizer step takes several.

    Gradient accumulation and data-parallel strategies average the means of their batches: a token
    of a batch of few tokens would count more than others, so would a row of a short last batch or
    one beside padding copies, and the batches at the end of an epoch, fewer than a step takes,
    would be divided by the number of all. Here the mean of each batch is multiplied by its weight,
    and before the optimizer steps the gradients are divided by the weight of all batches on all
    processes. DeepSpeed keeps gradients to itself, so there the loss is divided by the weight of
    the batches that all processes run at once, and accumulated ones are averaged as ever.

    Weights are relative to the mean weight of the first batches of a step that have any, so that
    losses stay as large as means: float16 holds their gradients under the scale of 16-mixed, where
    those of sums overflow. Of equal batches nothing is rounded.
    """

    def __init__(self) -> None:
        self._usual: Tensor | None = None  # scalar, the mean weight of a step's first batches
        self._total: Tensor | None = None  # scalar, the weight of all batches of a step so far

    def weigh(self, trainer: Trainer, loss: Tensor, weight: Tensor) -> Tensor:
        """Multiply the mean loss of a batch by its weight, if a step takes other batches too.

        Args:
            trainer: the Trainer that runs the step; all of its processes call this.
            loss: scalar mean over the batch.
            weight: scalar, how much that is a mean of.
        """
        if _num_batches(trainer) == 1:
            return loss
        dtype = torch.promote_types(loss.dtype, torch.float32)
        own = weight.to(loss.device, dtype)
        total = _over_processes(trainer, own)
        usual = total / trainer.world_size
        if _keeps_gradients(trainer):
            return loss * (own / _or_one(usual))
        if self._usual is None or self._total is None:
            self._usual = self._total = torch.zeros_like(own)
        self._usual = torch.where(self._usual > 0, self._usual, usual)
        self._total = self._total + total
        return loss * (own / _or_one(self._usual))

    def divide(self, trainer: Trainer, parameters: "list[Tensor]") -> None:
        """Divide the gradients of a step by the weight of all that they are of.

        Lightning has divided each loss by the number of accumulated batches, and the strategy their
        sum by the number of processes.
        """
        if self._usual is None or self._total is None:  # nothing has been weighed
            return
        factor = _num_batches(trainer) * self._usual / _or_one(self._total)
        self._usual = self._total = None
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)


def _or_one(number: Tensor) -> Tensor:
    """A weight to divide by; 1 where it is 0, and so is what is divided."""
    return torch.where(number > 0, number, 1)


def _keeps_gradients(trainer: Trainer) -> bool:
    """Whether nobody but the strategy gets at the gradients."""
    return isinstance(trainer.strategy, DeepSpeedStrategy)


def _num_batches(trainer: Trainer) -> int:
    """How many batches an optimizer step takes, over which their losses are averaged."""
    return trainer.accumulate_grad_batches * trainer.world_size


def _over_processes(trainer: Trainer, number: Tensor) -> Tensor:
    """The sum of a number of each process."""
    if trainer.world_size == 1:
        return number
    total = number.clone()
    torch.distributed.all_reduce(total)
    return total
