"""Attention and dropout in forms that are faster on the CPU, with the same mathematics.

Letters: B sequences, H heads, L tokens, D values of a head.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from lit_hf.speed.dropout import QuickDropout, quick_dropout

NAME = "lit_hf_cpu"
"""The name of the attention below in transformers while a model runs; no file contains it."""


def cpu_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **unused: object,  # transformers' interface passes more than any attention reads
) -> tuple[Tensor, None]:
    """Attention in plain matrix products, the fastest kind on the CPU when training.

    PyTorch's own falls back to slow steps where attention has dropout, and its fused backward pass
    takes longer than these products up to some hundred tokens. The softmax sums in float32.

    Args:
        module: the layer, which knows whether it is in training.
        query: [B, H, L, D].
        key: [B, H, L, D], or fewer heads that queries share.
        value: as `key`.
        attention_mask: [B, 1, L, L], added to the scores; None where nothing is masked.
        scaling: factor of the scores, 1 / sqrt(D) unless given.
        dropout: probability that a weight is dropped in training.
        unused: arguments of other kinds of attention.

    Returns:
        [B, L, H, D], and no attention weights.
    """
    with torch.autocast("cpu", enabled=False):
        if (shared := query.shape[1] // key.shape[1]) > 1:
            key, value = (part.repeat_interleave(shared, dim=1) for part in (key, value))
        scaled = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        scores = torch.matmul(scaled, key.transpose(2, 3).to(scaled.dtype))  # [B, H, L, L]
        weights = _softmax(scores, attention_mask).to(scaled.dtype)
        if module.training and dropout:
            weights = quick_dropout(weights, dropout)
        mixed = torch.matmul(weights, value.to(weights.dtype))
    return mixed.transpose(1, 2).contiguous(), None


def _softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Turn scores [B, H, L, L] into weights that sum to 1, [B, H, L, L]."""
    num_tokens = scores.shape[-1]
    if scores.dtype == torch.bfloat16 and num_tokens % 32 and num_tokens < 100:
        # PyTorch's softmax reads bfloat16 in vectors of 32 and is slow where a row leaves some
        # over; from about a hundred tokens on the copies in float32 cost more than they save.
        scores = scores.float()
    if mask is not None:
        lowest = torch.finfo(scores.dtype).min / 2  # no infinity, whatever is added to it
        scores = scores + mask.clamp(min=lowest).to(scores.dtype)
    return scores.softmax(dim=-1)


def apply_cpu_patches(model: PreTrainedModel) -> Callable[[], None]:
    """Let a model use both; its results stay the same but for other random numbers.

    Attention changes only where it is PyTorch's own and looks both ways: models that write may
    scale their scores in ways of their own.

    Returns:
        A function that restores the model.
    """
    AttentionInterface.register(NAME, cpu_attention)
    AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    before = model.config._attn_implementation
    is_causal = any(getattr(part, "is_causal", False) for part in model.modules())
    if before == "sdpa" and model._supports_attention_backend and not is_causal:
        model.set_attn_implementation(NAME)
    dropouts = [part for part in model.modules() if type(part) is nn.Dropout]
    for part in dropouts:
        part.__class__ = QuickDropout

    def undo() -> None:
        model.set_attn_implementation(before)
        for part in dropouts:
            part.__class__ = nn.Dropout

    return undo
