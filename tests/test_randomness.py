import random
from pathlib import Path

import numpy as np
import torch

from lit_hf.randomness import random_state, set_random_state

CPU = torch.device("cpu")


def _draw() -> list[float]:
    numbers = [float(torch.rand(())), float(np.random.rand()), random.random()]
    return [*numbers, float(torch.randn(3).sum()), np.random.normal(), random.gauss(0, 1)]


def test_state__brings_back_the_numbers_of_all_generators() -> None:
    _draw()  # so that kept normals are part of the state
    state = random_state(CPU)
    first = _draw()
    assert _draw() != first
    set_random_state(state, CPU)
    assert _draw() == first


def test_state__is_plain_enough_for_a_checkpoint(tmp_path: Path) -> None:
    state = random_state(CPU)
    first = _draw()
    torch.save(state, tmp_path / "state")
    set_random_state(torch.load(tmp_path / "state", weights_only=True), CPU)
    assert _draw() == first
