import pytest
import torch
from torch import Tensor

from benchmarks.step_profile import kind_of, num_operations, seconds_by_kind


def _step(batch: dict[str, Tensor]) -> None:
    (batch["rows"] @ batch["rows"]).softmax(1)


def test_profile__deals_out_all_the_time_of_a_step() -> None:
    batches = [{"rows": torch.ones(256, 256)} for _ in range(3)]
    found = seconds_by_kind(_step, batches)
    whole = found.pop("step")
    assert sum(found.values()) == pytest.approx(whole)
    assert found["matrix products"] > 0
    assert found["activation, softmax, norms"] > 0
    assert num_operations(_step, batches[0]) == 2 * 256**3


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
