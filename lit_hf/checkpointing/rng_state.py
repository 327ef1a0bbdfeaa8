"""All random number generators of a process: their states in plain values, and their seeds."""

import random
from typing import TypedDict, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class RandomState(TypedDict):
    """Where the generators of a process stand.

    Keys:
        torch: of torch on the CPU, [bytes] uint8.
        device: of torch on the accelerator that the process uses, uint8; None without one.
        numpy: [624] int64, of numpy's global generator; then its position and its cached normal.
        python: of the module `random`.
    """

    torch: Tensor
    device: Tensor | None
    numpy: tuple[Tensor, int, int, float]
    python: tuple[int, tuple[int, ...], float | None]


def random_state(device: torch.device) -> RandomState:
    """Read the states of the generators of this process.

    Args:
        device: what the process computes on.
    """
    numpy = cast("tuple[str, NDArray[np.uint32], int, int, float]", np.random.get_state())
    _, keys, position, has_normal, normal = numpy
    on_device = None if device.type == "cpu" else torch.get_device_module(device)
    return {
        "torch": torch.get_rng_state(),
        "device": None if on_device is None else on_device.get_rng_state(device),
        "numpy": (torch.from_numpy(keys.astype(np.int64)), position, has_normal, normal),
        "python": random.getstate(),
    }


def set_random_state(state: RandomState, device: torch.device) -> None:
    """Set the generators of this process to where others stood.

    Args:
        state: of `random_state`, perhaps of another process.
        device: what the process computes on.
    """
    keys, position, has_normal, normal = state["numpy"]
    torch.set_rng_state(state["torch"])
    if device.type != "cpu" and state["device"] is not None:
        torch.get_device_module(device).set_rng_state(state["device"], device)
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_normal, normal))
    version, inner, normal_of_python = state["python"]
    random.setstate((version, tuple(inner), normal_of_python))


def spread_generators(rank: int) -> None:
    """Move the generators of a process to a place of its own, where those of all stand alike.

    Processes are seeded alike so that they begin with the same weights. From there on they would
    draw the same dropout masks for other examples.

    Args:
        rank: number of the process; the first one keeps its place.
    """
    if rank == 0:
        return
    common = int(torch.randint(2**62, (), device="cpu"))
    for_torch, for_numpy, for_python = np.random.SeedSequence([common, rank]).generate_state(3)
    torch.manual_seed(int(for_torch))  # on all devices
    np.random.seed(for_numpy)
    random.seed(int(for_python))
