import time
from types import SimpleNamespace
from typing import Self

import pytest
import torch
from torch import Tensor

from benchmarks.step_profile import kind_of, num_operations, seconds_by_kind


def _step(batch: dict[str, Tensor]) -> None:
    (batch["rows"] @ batch["rows"]).softmax(1)


class _Profile:
    """A profiler that has seen a second of products and half a second of softmax."""

    def __init__(self, **_: object) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def key_averages(self) -> list[SimpleNamespace]:
        seen = {"aten::mm": 1e6, "aten::_softmax": 5e5}
        return [SimpleNamespace(key=key, self_cpu_time_total=us) for key, us in seen.items()]


def test_profile__deals_out_all_the_time_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [{"rows": torch.ones(256, 256)} for _ in range(3)]
    clock = iter([10.0, 16.0])
    monkeypatch.setattr("benchmarks.step_profile.profile", _Profile)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    found = seconds_by_kind(_step, batches)
    assert found.pop("step") == 2
    assert found.pop("matrix products") == pytest.approx(1 / 3)
    assert found.pop("activation, softmax, norms") == pytest.approx(1 / 6)
    assert found == {"the rest": pytest.approx(1.5)}


def test_operations__are_those_of_the_products() -> None:
    assert num_operations(_step, {"rows": torch.ones(256, 256)}) == 2 * 256**3


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::addmm", "matrix products"),
        ("mkldnn::_linear_pointwise", "matrix products"),
        ("aten::native_layer_norm", "activation, softmax, norms"),
        ("aten::add", "the rest"),
    ],
)
def test_kind__of_an_operation(operation: str, kind: str) -> None:
    assert kind_of(operation) == kind
