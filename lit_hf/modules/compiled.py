"""Models that `torch.compile` has wrapped: their weights go by the names of the plain model."""

from collections.abc import Mapping
from typing import cast

from torch import nn
from transformers import PreTrainedModel

_MARK = "_orig_mod."


def plain_model(model: nn.Module) -> PreTrainedModel:
    """The model in a wrapper of `torch.compile`, or the model itself."""
    return cast("PreTrainedModel", getattr(model, "_orig_mod", model))


def plain_names(weights: Mapping[str, object]) -> dict[str, object]:
    """Weights by the names of the plain modules.

    >>> plain_names({"model._orig_mod.classifier.bias": 0})
    {'model.classifier.bias': 0}
    """
    return {name.replace(_MARK, ""): value for name, value in weights.items()}


def names_in(module: nn.Module, weights: Mapping[str, object]) -> dict[str, object]:
    """Weights of plain names by those that a module has, which may be compiled by now."""
    own = {name.replace(_MARK, ""): name for name in module.state_dict() if _MARK in name}
    return {own.get(name, name): value for name, value in plain_names(weights).items()}
