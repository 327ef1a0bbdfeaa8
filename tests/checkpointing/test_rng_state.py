import random
from pathlib import Path

import numpy as np
import torch

from lit_hf.checkpointing.rng_state import (
    random_state,
    set_random_state,
    spread_generators,
)

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


def test_spread__gives_each_process_numbers_of_its_own_and_the_first_those_it_has() -> None:
    state = random_state(CPU)
    without = _draw()
    drawn = []
    for rank in (0, 1, 2, 1):
        set_random_state(state, CPU)
        spread_generators(rank)
        drawn.append(_draw())
    assert drawn[0] == without
    assert drawn[1] == drawn[3]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert all(a != b for a, b in zip(drawn[one], drawn[other], strict=True))
    spread_generators(1)
    assert _draw() != drawn[1]  # a second training
