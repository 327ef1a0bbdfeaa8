"""Heads for a bare backbone.

Letters: B examples, L tokens, H width of the backbone, C classes.

A head is any `nn.Module` of the form `Head(hidden_size, num_labels, …)` that maps hidden states
[B, L, H] and the attention mask [B, L] to logits [B, C], and keeps each argument of its
constructor in an attribute of the same name, so that it can be written to a config and built again.
One whose `forward` has a `pooler_output` gets that of the backbone, [B, H], too.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.modules.modes import evaluating

HeadCallable = Callable[[int, int], nn.Module]


class PoolingHead(nn.Module):
    """Dropout and one linear layer over a pooled vector; a subclass says how to pool.

    Args:
        hidden_size: H.
        num_labels: C.
        dropout: share of the pooled vector set to 0 in training.
    """

    def __init__(self, hidden_size: int, num_labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_labels = num_labels
        self.dropout = dropout
        self.drop = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size, num_labels)

    def pool(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Reduce [B, L, H] to [B, H], leaving out what the mask [B, L] leaves out."""
        raise NotImplementedError

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits [B, C]."""
        logits: Tensor = self.linear(self.drop(self.pool(hidden_states, attention_mask)))
        return logits


class ClsHead(PoolingHead):
    """The vector of the first token, [CLS] or <s>."""

    def pool(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """The vector at the first place that is not padding."""
        first = attention_mask.long().argmax(1)
        return hidden_states[torch.arange(len(first), device=first.device), first]


class MeanHead(PoolingHead):
    """The mean of all token vectors."""

    def pool(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Mean over the tokens that are not padding."""
        kept = hidden_states.masked_fill(attention_mask[..., None] == 0, 0)
        return kept.sum(1) / attention_mask.sum(1, keepdim=True).clamp(min=1)


class MaxHead(PoolingHead):
    """The largest value of each feature over all tokens."""

    def pool(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Maximum over the tokens that are not padding."""
        hidden = attention_mask[..., None] == 0
        return hidden_states.masked_fill(hidden, torch.finfo(hidden_states.dtype).min).amax(1)


class AttentionHead(PoolingHead):
    """A mean of the token vectors with learned weights.

    Args:
        hidden_size: H.
        num_labels: C.
        dropout: share of the pooled vector set to 0 in training.
    """

    def __init__(self, hidden_size: int, num_labels: int, dropout: float = 0.1) -> None:
        super().__init__(hidden_size, num_labels, dropout)
        self.score = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.Tanh(), nn.Linear(hidden_size, 1)
        )

    def pool(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Weighted mean; the weights of the tokens that are not padding sum to 1."""
        hidden = attention_mask == 0
        hidden_states = hidden_states.masked_fill(hidden[..., None], 0)
        scores = self.score(hidden_states).squeeze(-1)  # [B, L]
        scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
        return torch.einsum("bl,blh->bh", scores.softmax(1), hidden_states)


def check_head(backbone: PreTrainedModel, head: nn.Module) -> None:
    """Refuse a head on the first token of a causal model.

    Raises:
        InputError: naming heads that read more.
    """
    if isinstance(head, ClsHead) and is_causal(backbone):
        raise InputError(
            f"`head`: {type(head).__name__} reads the first token, which sees no other in a causal "
            f"model ({backbone.config.model_type!r}): all texts of the same first word would have "
            "one answer. Take `lit_hf.MeanHead`, which reads all tokens, or leave `head` out: the "
            "model's own head reads the last."
        )


def is_causal(backbone: PreTrainedModel) -> bool:
    """Whether the first token of a model sees no other, tried on two inputs.

    Attributes of models do not show it: few have one, and BERT can be a decoder by its config.
    """
    ids = torch.arange(5, 21, device=backbone.device).view(2, 8) % backbone.config.vocab_size
    ids[1, 0] = ids[0, 0]
    with evaluating(backbone), torch.no_grad():
        states = backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    first, second = states[:, 0].float()  # [H] each
    return torch.allclose(first, second, rtol=1e-5, atol=1e-6)
