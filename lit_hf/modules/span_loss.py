"""The loss of windows: which of them count, and by how much.

Letters: B questions in a batch, W windows of all of them, V windows that are run, L tokens.
"""

import torch
from torch import Tensor, nn

from lit_hf.batches import LossTerms, SpanBatch, SpanOutput
from lit_hf.functional.precision import precise_dtype
from lit_hf.modules.losses import LossFunction, apply_loss, target_weights


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
        batch: the questions; ordinary batches do not say which of them have an answer.
        empty_weight: that of windows without the answer of a question that has one.
    """
    is_empty = batch["first_token"] == batch["no_answer_token"]
    weights = torch.ones(len(is_empty), dtype=precise_dtype(), device=is_empty.device)
    if "answers" not in batch:
        return weights
    has_answer = torch.tensor([bool(texts) for texts in batch["answers"]])
    is_answerable = has_answer.to(batch["window_of"].device)[batch["window_of"]]
    return weights.masked_fill(is_answerable & is_empty, empty_weight)


def span_terms(
    loss: LossFunction | None, batch: SpanBatch, output: SpanOutput, empty_weight: float
) -> LossTerms:
    """What each window that was run adds to the loss: the mean of its first and its last token.

    Args:
        loss: of logits [V, L], -inf where there is no token, and targets [V].
        batch: the questions.
        output: the logits of the windows that were run.
        empty_weight: see `window_weights`.
    """
    windows = output["windows"]
    is_padding = batch["attention_mask"][windows] == 0
    (first, first_weights), (last, last_weights) = (
        _terms(loss, logits.masked_fill(is_padding, -torch.inf), targets[windows])
        for logits, targets in (
            (output["start_logits"], batch["first_token"]),
            (output["end_logits"], batch["last_token"]),
        )
    )
    weights = window_weights(batch, empty_weight)[windows].to(first)
    return LossTerms(
        (first + last) / 2 * weights,
        (first_weights + last_weights) / 2 * weights,
        batch["window_of"][windows],
    )


def _terms(loss: LossFunction | None, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Numerators and weights of windows, [V] both.

    torch's cross entropy spreads its smoothing over all logits, which is infinite where one is.
    A target behind the last token, of an ordinary batch, counts nothing, as in transformers.
    """
    is_inside = targets < logits.shape[1]
    if not is_inside.all():
        found = _terms(loss, logits, targets.where(is_inside, 0))
        return found[0] * is_inside, found[1] * is_inside
    if loss is None:
        return cross_entropy(logits, targets, 0.0), torch.ones_like(logits[:, 0])
    if type(loss) is not nn.CrossEntropyLoss:
        return apply_loss(loss, logits, targets)
    weights = target_weights(loss, logits, targets)
    return cross_entropy(logits, targets, loss.label_smoothing) * weights, weights


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
