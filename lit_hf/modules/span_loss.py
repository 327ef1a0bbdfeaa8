"""The loss of windows: which of them count, and by how much.

Letters: B questions in a batch, W windows of all of them, V windows that are run, L tokens.
"""

import torch
from torch import Tensor

from lit_hf.batches import SpanBatch, SpanOutput
from lit_hf.functional.precision import precise_dtype


def chosen_windows(is_empty: Tensor, limit: int) -> Tensor:
    """The numbers of up to `limit` windows, those that hold an answer before the others, [V].

    Args:
        is_empty: [W] whether a window holds no answer.
        limit: V at most.
    """
    if len(is_empty) <= limit:
        return torch.arange(len(is_empty), device=is_empty.device)
    chance = torch.rand(len(is_empty), dtype=precise_dtype(), device=is_empty.device)
    return (is_empty + chance).argsort()[:limit].sort().values


def window_weights(batch: SpanBatch, empty_weight: float) -> Tensor:
    """Weight of each window in the loss, [W].

    Args:
        batch: the questions.
        empty_weight: that of windows without the answer of a question that has one.
    """
    has_answer = torch.tensor([bool(texts) for texts in batch["answers"]])
    is_answerable = has_answer.to(batch["window_of"].device)[batch["window_of"]]
    is_empty = batch["first_token"] == batch["no_answer_token"]
    weights = torch.ones(len(is_empty), dtype=precise_dtype(), device=is_empty.device)
    return weights.masked_fill(is_answerable & is_empty, empty_weight)


def window_losses(batch: SpanBatch, output: SpanOutput, smoothing: float) -> Tensor:
    """Mean cross entropy of the first and the last token of each window that was run, [V]."""
    windows = output["windows"]
    is_padding = batch["attention_mask"][windows] == 0
    losses = [
        cross_entropy(logits.masked_fill(is_padding, -torch.inf), targets[windows], smoothing)
        for logits, targets in (
            (output["start_logits"], batch["first_token"]),
            (output["end_logits"], batch["last_token"]),
        )
    ]
    return (losses[0] + losses[1]) / 2


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Cross entropy of each row; smoothing spreads over the finite logits only.

    Args:
        logits: [V, L], -inf where there is no token.
        targets: [V].
        smoothing: share of the target that goes to all tokens alike.
    """
    logs = logits.log_softmax(1)
    losses = -logs.gather(1, targets[:, None])[:, 0]
    if not smoothing:
        return losses
    is_token = logits.isfinite()
    others = -logs.masked_fill(~is_token, 0).sum(1) / is_token.sum(1)
    return (1 - smoothing) * losses + smoothing * others


def span_loss(
    batch: SpanBatch, output: SpanOutput, smoothing: float, empty_weight: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean loss of a batch over its windows, that of each question, [B], and the windows' weight.

    The first and the last are scalars; only the first has a gradient.

    Args:
        batch: the questions.
        output: the logits of the windows that were run.
        smoothing: see `cross_entropy`.
        empty_weight: see `window_weights`.
    """
    losses = window_losses(batch, output, smoothing)
    weights = window_weights(batch, empty_weight)[output["windows"]].to(losses)
    owners = batch["window_of"][output["windows"]]
    zeros = losses.new_zeros(len(batch["context"]))
    sums = zeros.index_add(0, owners, (losses * weights).detach())
    totals = zeros.index_add(0, owners, weights)
    mean = (losses * weights).sum() / weights.sum().clamp(min=1e-9)
    return mean, sums / totals.clamp(min=1e-9), weights.sum()
