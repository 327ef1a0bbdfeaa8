"""Models and modules that are compiled: the weights go by the names of the plain model."""

from collections.abc import Mapping
from typing import cast

from torch import nn
from transformers import PreTrainedModel

_MARK = "_orig_mod."
_STEPS = ("training_step", "validation_step", "test_step", "predict_step")


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


def compile_forward_alone(module: nn.Module) -> None:
    """Let the steps of a module that `torch.compile` has wrapped be plain Python again.

    Lightning compiles them beside `forward`: what they log, check and show, which gains nothing.
    """
    for name in _STEPS:
        vars(module).pop(name, None)


def without_compiled(state: Mapping[str, object]) -> dict[str, object]:
    """The attributes of a module for a copy, less what is compiled: that would run the original."""
    compiled = ("_compiled_call_impl", "_compiler_ctx")
    if any(state.get(name) is not None for name in compiled):
        left_out = {"_compiled_call_impl", "forward", *_STEPS}
        state = {name: value for name, value in state.items() if name not in left_out}
        return {**state, "_compiler_ctx": None}
    return dict(state)
