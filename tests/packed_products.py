"""Processors with and without packed products in bfloat16, made up on any processor."""

import platform
from typing import NoReturn

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear


def make_up_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PyTorch have packed products, here plain ones of a copy of the weight."""

    def multiply(values: Tensor, weight: Tensor, bias: Tensor | None, *_: object) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return linear(values, weight, bias)

    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", True)
    _set(monkeypatch, "_is_mkldnn_bf16_supported", lambda: True)
    _set(monkeypatch, "_reorder_linear_weight", lambda weight, _: weight.clone())
    _set(monkeypatch, "_linear_pointwise", multiply)


def forbid_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PyTorch have none, as on a processor with AVX2 alone."""

    def fail(*_: object) -> NoReturn:
        raise RuntimeError("mkldnn_reorder_linear_weight: bf16 path needs the cpu support")

    _set(monkeypatch, "_is_mkldnn_bf16_supported", lambda: False)
    _set(monkeypatch, "_reorder_linear_weight", fail)
    _set(monkeypatch, "_linear_pointwise", fail)


def _set(monkeypatch: pytest.MonkeyPatch, name: str, function: object) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, name, function, raising=False)
