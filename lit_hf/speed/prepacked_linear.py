"""Linear layers that evaluate faster on the CPU: bfloat16 weights in oneDNN's own order.

Letters: N tokens of a batch, I and O values of a token before and after a layer.
"""

import platform
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn


def can_pack() -> bool:
    """Whether PyTorch multiplies by packed weights on this machine.

    oneDNN needs instructions of AVX-512 or newer ones. It is asked, and one product is tried:
    settings such as `ONEDNN_MAX_CPU_ISA` may forbid what the processor has.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"} or not torch.backends.mkldnn.enabled:
        return False
    weight, values = (torch.ones(n, 3, dtype=torch.bfloat16, device="cpu") for n in (4, 2))
    try:
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        product = _multiply(values, _pack(weight), None)
    except (AttributeError, RuntimeError):  # another version of PyTorch, or built without oneDNN
        return False
    return product.tolist() == [[3.0] * 4] * 2


# PyTorch's own compiler uses the two operations where it freezes weights; they have no public name.


def _pack(weight: Tensor) -> Tensor:
    """Put a weight [O, I] into the order of oneDNN's kernels."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach().bfloat16(), None)
    return packed


def _multiply(values: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """Values [..., N, I] times a packed weight, [..., N, O]; all bfloat16."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(values, packed, bias, "none", [], "")
    return product


def pack_linears(model: nn.Module) -> Callable[[], None]:
    """Let the linear layers of a model multiply by packed weights in bfloat16.

    For every product PyTorch lets oneDNN reorder the weights; here that is done once. The products
    are the same but for the order of their sums. The packed copy lasts until the undo, and the
    weights must not change before. Sharded weights and layers of other classes stay as they are.

    Returns:
        A function that restores the layers.
    """
    layers = [
        part
        for part in model.modules()
        if type(part) is nn.Linear
        and type(part.weight) is nn.Parameter
        and "forward" not in vars(part)  # a patch of the user
    ]
    for layer in layers:
        bias = None if layer.bias is None else layer.bias.detach().bfloat16()
        vars(layer)["forward"] = partial(_forward, layer, _pack(layer.weight), bias)

    def undo() -> None:
        for layer in layers:
            vars(layer).pop("forward")

    return undo


def _forward(layer: nn.Linear, packed: Tensor, bias: Tensor | None, input: Tensor) -> Tensor:
    """Multiply [..., N, I] by the packed weight where bfloat16 is asked for, else as ever."""
    is_bfloat16 = torch.is_autocast_enabled("cpu") or input.dtype == torch.bfloat16
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or not is_bfloat16:
        return nn.functional.linear(input, layer.weight, layer.bias)
    return _multiply(input.bfloat16(), packed, bias)
