"""What makes a model train faster on the CPU and leaves its mathematics as it is.

Letters: B sequences, H heads, L tokens, D values of a head.
"""

from collections.abc import Callable
from typing import SupportsIndex

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from lit_hf.speed.dropout import quick_dropout

NAME = "lit_hf_cpu"
"""How transformers knows the attention below while a model runs; no file says it."""


def cpu_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **unused: object,  # transformers' interface hands over more than any attention reads
) -> tuple[Tensor, None]:
    """Attention in plain matrix products, the fastest kind on the CPU when training.

    PyTorch's own falls back to slow steps where attention has dropout, and its fused backward pass
    takes longer than these products up to some hundred tokens. The softmax sums in float32 and
    gives the precision of the products.

    Args:
        module: the layer, which knows whether it is in training.
        query: [B, H, L, D].
        key: [B, H, L, D], or fewer heads that queries share.
        value: as `key`.
        attention_mask: [B, 1, L, L], added to the scores; None where nothing is masked.
        scaling: factor of the scores, 1 / sqrt(D) unless given.
        dropout: probability that a weight is dropped in training.
        unused: what transformers tells other kinds of attention.

    Returns:
        [B, L, H, D], and no attention weights.
    """
    with torch.autocast("cpu", enabled=False):
        if (shared := query.shape[1] // key.shape[1]) > 1:
            key, value = (part.repeat_interleave(shared, dim=1) for part in (key, value))
        scaled = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        scores = torch.matmul(scaled, key.transpose(2, 3).to(scaled.dtype))
        if is_quicker_in_float32(scores):
            scores = scores.float()
        if attention_mask is not None:
            lowest = torch.finfo(scores.dtype).min / 2  # no infinity, whatever is added to it
            scores = scores + attention_mask.clamp(min=lowest).to(scores.dtype)
        weights = scores.softmax(dim=-1).to(scaled.dtype)
        if module.training and dropout:
            weights = quick_dropout(weights, dropout)
        mixed = torch.matmul(weights, value.to(weights.dtype))
    return mixed.transpose(1, 2).contiguous(), None


def is_quicker_in_float32(scores: Tensor) -> bool:
    """Whether PyTorch's softmax takes less time with copies in float32 than in the precision given.

    It reads bfloat16 in vectors of 32, and is slow where a row leaves some over; from about a
    hundred tokens on the copies cost more.

    Args:
        scores: [B, H, L, L].
    """
    num_tokens = scores.shape[-1]
    return scores.dtype == torch.bfloat16 and num_tokens % 32 != 0 and num_tokens < 100


class QuickDropout(nn.Dropout):
    """`torch.nn.Dropout` with `quick_dropout`; a copy of it is a plain one."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop values while training."""
        return quick_dropout(input, self.p) if self.training else input

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[object, ...]:
        plain = nn.Dropout.__new__(nn.Dropout)
        vars(plain).update(vars(self))
        return plain.__reduce_ex__(1)  # later ones look at the class of what is copied


def apply_cpu_patches(model: PreTrainedModel) -> Callable[[], None]:
    """Let a model on the CPU use both; what it computes stays the same but for other draws.

    Attention is changed where it is PyTorch's own, looks both ways and can be chosen: models that
    write may scale their scores in ways of their own.

    Returns:
        What puts the model back as it was.
    """
    AttentionInterface.register(NAME, cpu_attention)
    AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    before = model.config._attn_implementation
    is_causal = any(getattr(part, "is_causal", False) for part in model.modules())
    if before == "sdpa" and model._supports_attention_backend and not is_causal:
        model.set_attn_implementation(NAME)
    drops = [part for part in model.modules() if type(part) is nn.Dropout and not part.inplace]
    for part in drops:
        part.__class__ = QuickDropout

    def undo() -> None:
        model.set_attn_implementation(before)
        quick: list[nn.Dropout] = [part for part in drops if type(part) is QuickDropout]
        for part in quick:
            part.__class__ = nn.Dropout

    return undo
