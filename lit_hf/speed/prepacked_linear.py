"""Linear layers that evaluate faster on the CPU: bfloat16 weights in oneDNN's own order.

Letters: N tokens of a batch, I and O values of a token before and after a layer.
"""

import platform
from typing import SupportsIndex, cast

import torch
from torch import Tensor, nn

_SOME = 8  # values of a weight that are looked at
_Mark = tuple[list[tuple[int, int]], list[list[float]]]


def can_pack() -> bool:
    """Whether PyTorch multiplies by packed weights on this machine, with oneDNN as it is set.

    oneDNN wants instructions of AVX-512 or newer ones. It is asked whether the processor has them,
    and one product is tried: settings such as `ONEDNN_MAX_CPU_ISA` may forbid what it has.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"} or not torch.backends.mkldnn.enabled:
        return False
    operations = torch.ops.mkldnn
    weight, values = (torch.ones(n, 3, dtype=torch.bfloat16, device="cpu") for n in (4, 2))
    try:
        if not operations._is_mkldnn_bf16_supported():
            return False
        product = _multiply(values, operations._reorder_linear_weight(weight, None), None)
    except (AttributeError, RuntimeError):  # another version of PyTorch, or built without oneDNN
        return False
    return product.tolist() == [[3.0] * 4] * 2


def _multiply(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Values [..., N, I] times a packed weight, [..., N, O]; all bfloat16.

    torch's own compiler uses the two operations where it freezes weights; no public name has them.
    """
    product: Tensor = torch.ops.mkldnn._linear_pointwise(values, weight, bias, "none", [], "")
    return product


class PackedWeights:
    """Lets the linear layers of a model multiply by packed weights while a batch is evaluated.

    For every product PyTorch has oneDNN put the weights into the order of its kernels; here that is
    done once an evaluation, and again where a layer is seen to have other weights before a batch.
    The products are the same but for the order of their sums. In other precisions, where gradients
    are wanted and where torch compiles nothing changes, nor in layers of other classes.

    It costs a copy of the weights in bfloat16 for as long as an evaluation lasts.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = [layer for layer in model.modules() if _is_plain(layer)]
        self._kept: dict[nn.Linear, tuple[Tensor, Tensor | None]] = {}
        self._marks: dict[nn.Linear, _Mark] = {}

    def begin_batch(self) -> None:
        """Use packed weights from here on."""
        for layer in self._layers:
            if not _is_plain(layer):  # any more
                continue
            if layer in self._kept and self._marks[layer] != _mark(layer):
                del self._kept[layer]
            layer.__class__ = PackedLinear
            cast("PackedLinear", layer).weights = self

    def end_batch(self) -> None:
        """Use the layers' own weights, which may change now."""
        changed: list[nn.Linear] = [part for part in self._layers if type(part) is PackedLinear]
        for layer in changed:
            layer.__class__ = nn.Linear
            layer.__dict__.pop("weights", None)

    def forget(self) -> None:
        """Give the memory back; the next batch packs anew."""
        self._kept.clear()
        self._marks.clear()

    def of(self, layer: nn.Linear) -> tuple[Tensor, Tensor | None]:
        """Packed weight and bias of a layer, packed when they are first wanted."""
        if layer not in self._kept:
            packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().bfloat16(), None)
            bias = None if layer.bias is None else layer.bias.detach().bfloat16()
            self._kept[layer], self._marks[layer] = (packed, bias), _mark(layer)
        return self._kept[layer]


class PackedLinear(nn.Linear):
    """`torch.nn.Linear` for evaluations in bfloat16; a copy of it is a plain one."""

    weights: PackedWeights

    def forward(self, input: Tensor) -> Tensor:
        """Multiply tokens by the packed weight.

        Args:
            input: [..., N, I].

        Returns:
            [..., N, O]; bfloat16 where bfloat16 was asked for.
        """
        if torch.compiler.is_compiling() or torch.is_grad_enabled() or not _can_pack(self, input):
            return super().forward(input)
        return _multiply(input.bfloat16(), *self.weights.of(self))

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[object, ...]:
        plain = nn.Linear.__new__(nn.Linear)
        vars(plain).update({name: part for name, part in vars(self).items() if name != "weights"})
        return plain.__reduce_ex__(1)  # later ones look at the class of what is copied


def _mark(layer: nn.Linear) -> _Mark:
    """What tells that weights have changed: where they lie, how often torch wrote, some values."""
    parts = [part.detach() for part in (layer.weight, layer.bias) if part is not None]
    some = [part.flatten()[:: max(1, part.numel() // _SOME)].tolist() for part in parts]
    versions = [0 if part.is_inference() else part._version for part in parts]
    return [(part.data_ptr(), seen) for part, seen in zip(parts, versions, strict=True)], some


def _is_plain(part: nn.Module) -> bool:
    """A linear layer of PyTorch's own, with weights that lie on this CPU as a whole."""
    if type(part) is not nn.Linear or "forward" in vars(part):
        return False
    return type(part.weight) is nn.Parameter and part.weight.device.type == "cpu"


def _can_pack(layer: nn.Linear, values: Tensor) -> bool:
    """Whether a product is one in bfloat16, of weights and values that fit each other."""
    parts = [part for part in (values, layer.weight, layer.bias) if part is not None]
    kinds = {torch.bfloat16}
    if torch.is_autocast_enabled("cpu"):
        if torch.get_autocast_dtype("cpu") != torch.bfloat16:
            return False
        kinds.add(torch.float32)
    is_product = layer.weight.numel() > 0 and values.shape[-1:] == layer.weight.shape[1:]
    return is_product and all(part.dtype in kinds for part in parts)
