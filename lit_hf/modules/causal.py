"""Heads that read the first token alone, and models in which it sees no other.

Letters: H width of the backbone.
"""

import torch
from torch import nn
from transformers import PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.modules.heads import ClsHead
from lit_hf.modules.modes import evaluating

_LENGTH = 8


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
    """Whether the first token of a model sees no other, tried out on two inputs.

    Attributes of models do not tell it: few have one, and BERT can be a decoder by its config.
    """
    size = int(getattr(backbone.config, "vocab_size", None) or 1000)
    ids = torch.arange(5, 5 + 2 * _LENGTH, device=backbone.device).view(2, _LENGTH) % size
    ids[1, 0] = ids[0, 0]
    try:
        with evaluating(backbone), torch.no_grad():
            states = backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        first, second = states[:, 0].float()  # [H] each
        return torch.allclose(first, second, rtol=1e-5, atol=1e-6)
    except (RuntimeError, ValueError, TypeError, LookupError):  # it takes no such input
        return False
