"""Sequences of tokens: how likely a model finds them, and where they end.

Letters: N sequences, A tokens of the longest, T tokens in the vocabulary.
"""

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_hf.functional.precision import precise

IGNORED = -100  # label that counts in no loss, as torch's cross entropy and transformers have it


def token_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of each token, in single precision or better; 0 where the label is -100.

    Args:
        logits: [N, A, T].
        labels: [N, A].

    Returns:
        [N, A].
    """
    flat = F.cross_entropy(
        precise(logits).flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return flat.view(labels.shape)


def until_end(tokens: Tensor, ends: Collection[int]) -> Tensor:
    """Replace what comes after the first end token by -100; the end token stays.

    Args:
        tokens: [N, A].
        ends: the tokens that end a sequence.

    >>> until_end(torch.tensor([[5, 1, 0], [5, 6, 7]]), ends=[1]).tolist()
    [[5, 1, -100], [5, 6, 7]]
    """
    is_end = torch.isin(tokens, torch.tensor(sorted(ends), device=tokens.device))
    num_ends_before = is_end.cumsum(1) - is_end.long()
    return tokens.masked_fill(num_ends_before > 0, IGNORED)


def mean_log_probabilities(logits: Tensor, labels: Tensor) -> Tensor:
    """Score of each sequence: mean log probability of its tokens, so that length has no say.

    As in https://arxiv.org/abs/1609.08144 with a length penalty of 1.

    Args:
        logits: [N, A, T].
        labels: [N, A], -100 where a sequence has no token.

    Returns:
        [N], at most 0.
    """
    num_tokens = (labels != IGNORED).sum(1)
    return -token_losses(logits, labels).sum(1) / num_tokens.clamp(min=1)
