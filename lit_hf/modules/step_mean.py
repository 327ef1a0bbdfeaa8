"""The mean loss of an optimizer step, over all that its batches are of."""

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor

from lit_hf.errors import InputError
from lit_hf.modules.optimizers import parameters_of


class StepMean:
    """Weighs batches by their rows, windows or tokens when one optimizer step takes several.

    Gradient accumulation and data-parallel strategies average the means of their batches: a token
    of a batch of few tokens would count more than others, so would a row of a short last batch or
    one beside padding copies, and the batches at the end of an epoch, fewer than a step takes,
    would be divided by the number of all. Here the mean of each batch is multiplied by its weight,
    and before the optimizer steps the gradients are divided by the weight of all batches on all
    processes. DeepSpeed keeps gradients to itself, so there the loss is divided by the weight of
    the batches that all processes run at once, and accumulated ones are averaged as ever.

    Weights are relative to the largest of a step's first batches that have any, so that a loss is
    never larger than its mean, and float16 holds the gradients wherever it holds those of means
    under the scale of 16-mixed; those of sums overflow. Where a later batch weighs more, that
    largest weight is multiplied by a power of 2, and the gradients so far are divided by it. Of
    equal batches nothing is rounded. DeepSpeed's losses are relative to the mean over processes.
    """

    def __init__(self) -> None:
        self._unit: Tensor | None = None  # scalar, the weight that a loss is multiplied by 1 for
        self._total: Tensor | None = None  # scalar, the weight of all batches of a step so far
        self._is_counted = False  # whether the batch that is trained is in the total

    def begin_batch(self) -> None:
        """Count the batch that comes once, however often its loss is computed."""
        self._is_counted = False

    def weigh(self, trainer: Trainer, loss: Tensor, weight: Tensor) -> Tensor:
        """Multiply the mean loss of a batch by its weight, if a step takes other batches too.

        Args:
            trainer: the Trainer that runs the step; all of its processes call this.
            loss: scalar mean over the batch.
            weight: scalar, how much that is a mean of.

        Raises:
            InputError: if an optimizer asks for the loss again after its gradients were divided,
                and they are of several batches.
        """
        if _num_batches(trainer) == 1:
            return loss
        dtype = torch.promote_types(loss.dtype, torch.float32)
        own = weight.to(loss.device, dtype)
        everywhere = _of_processes(trainer, own)
        if _keeps_gradients(trainer):
            return loss * (own / _or_one(everywhere.mean()))
        is_again, self._is_counted = self._is_counted, True
        if self._unit is None or self._total is None:
            if is_again and trainer.accumulate_grad_batches > 1:
                raise InputError(
                    "the optimizer computes the loss of a step several times (a closure, as SAM "
                    "and LBFGS), of which Lightning repeats the last accumulated batch alone: set "
                    "`trainer.accumulate_grad_batches: 1` and a larger batch size."
                )
            is_again = False
            self._unit = self._total = torch.zeros_like(own)
        self._raise_unit(trainer, everywhere.max())
        if not is_again:
            self._total = self._total + everywhere.sum()
        return loss * (own / _or_one(self._unit))

    def _raise_unit(self, trainer: Trainer, largest: Tensor) -> None:
        """Let the unit be no less than a weight, and the gradients so far relative to it."""
        assert self._unit is not None
        if not self._unit.is_cuda and largest <= self._unit:  # to ask a GPU would take longer
            return
        times = (largest / _or_one(self._unit)).log2().ceil().exp2().clamp(min=1)
        times = torch.where(self._unit > 0, times, 1)
        self._unit = torch.where(self._unit > 0, self._unit * times, largest)
        for optimizer in trainer.optimizers:
            _multiply(parameters_of(optimizer), 1 / times)

    def divide(self, trainer: Trainer, parameters: "list[Tensor]") -> None:
        """Divide the gradients of a step by the weight of all that they are of.

        Lightning has divided each loss by the number of accumulated batches, and the strategy their
        sum by the number of processes.
        """
        if self._unit is None or self._total is None:  # nothing has been weighed
            return
        factor = _num_batches(trainer) * self._unit / _or_one(self._total)
        self._unit = self._total = None
        _multiply(parameters, factor)


def _multiply(parameters: list[Tensor], factor: Tensor) -> None:
    """Multiply the gradients that there are."""
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


def _of_processes(trainer: Trainer, number: Tensor) -> Tensor:
    """The numbers of all processes, [processes]."""
    found = [torch.empty_like(number) for _ in range(trainer.world_size)]
    if trainer.world_size == 1:
        return number.reshape(1)
    torch.distributed.all_gather(found, number)
    return torch.stack(found)
