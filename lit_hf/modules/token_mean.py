"""The mean loss over tokens: of a batch, and of all batches of an optimizer step.

Letters: B questions, V windows of them.
"""

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor

from lit_hf.batches import AnswerOutput

_USUAL = 256
"""Tokens of a batch, roughly. Sums divided by it are about as large as means: float16 holds their
gradients under the scale of 16-mixed, where those of bare sums overflow. A power of two, so that
nothing is rounded."""


class TokenMean:
    """Weighs batches by their tokens when one optimizer step takes several of them.

    Gradient accumulation and data-parallel strategies average the means of their batches, in which
    a token of a batch of few tokens counts more than others. Here each batch gives its sum over a
    constant, and before the optimizer steps the gradients are divided by the number of tokens of
    all batches on all processes. DeepSpeed keeps gradients to itself, so there the means are
    averaged as ever.
    """

    def __init__(self) -> None:
        self.num_tokens: Tensor | int = 0

    def weigh(self, trainer: Trainer, loss: Tensor, num_tokens: Tensor) -> Tensor:
        """Turn the mean loss of a batch into a part of its sum, if a step takes other batches too.

        Args:
            trainer: the Trainer that runs the step.
            loss: scalar mean over the tokens of the batch.
            num_tokens: scalar, how many these are.
        """
        if _num_batches(trainer) == 1:
            return loss
        self.num_tokens = self.num_tokens + num_tokens
        return loss * num_tokens / _USUAL

    def divide(self, trainer: Trainer, parameters: "list[Tensor]") -> None:
        """Divide the gradients of the sums by the number of their tokens.

        Lightning has divided each sum by the number of accumulated batches, and the strategy their
        sum by the number of processes.
        """
        num_batches = _num_batches(trainer)
        if num_batches == 1:
            return
        total = torch.as_tensor(self.num_tokens, dtype=torch.float32, device=parameters[0].device)
        if trainer.world_size > 1:
            torch.distributed.all_reduce(total)
        self.num_tokens = 0
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(num_batches * _USUAL / total)


def _num_batches(trainer: Trainer) -> int:
    """How many batches an optimizer step takes, over which their losses are averaged."""
    if isinstance(trainer.strategy, DeepSpeedStrategy):
        return 1
    return trainer.accumulate_grad_batches * trainer.world_size


def mean_losses(losses: Tensor, counts: Tensor, owners: Tensor, num_questions: int) -> AnswerOutput:
    """Mean loss over all tokens, and over those of each question.

    Args:
        losses: [V] sums over the tokens of a window.
        counts: [V] how many tokens these are.
        owners: [V] the question that a window is of.
        num_questions: B.
    """
    sums = losses.new_zeros(num_questions).index_add(0, owners, losses.detach())
    totals = counts.new_zeros(num_questions).index_add(0, owners, counts)
    return {
        "loss": losses.sum() / counts.sum(),
        "losses": sums / totals.clamp(min=1),
        "num_tokens": counts.sum(),
    }
