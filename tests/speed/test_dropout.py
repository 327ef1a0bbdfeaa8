import math

import numpy as np
import pytest
import torch

from lit_hf.speed.dropout import quick_dropout

N = 400_000


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_dropout__drops_so_many_and_scales_the_others(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    dropped = quick_dropout(torch.full((N // 4, 4), 3.0, dtype=dtype), p)
    assert (dropped.dtype, dropped.shape) == (dtype, (N // 4, 4))
    share = float((dropped == 0).double().mean())
    assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / N) + 1 / 65536
    kept = dropped[dropped != 0].double()
    torch.testing.assert_close(kept, torch.full_like(kept, 3 / (1 - p)), rtol=0.01, atol=0)


def test_dropout__draws_do_not_hang_together() -> None:
    torch.manual_seed(0)
    drawn = torch.stack([quick_dropout(torch.ones(N), 0.5) > 0 for _ in range(2)]).double()
    for first, second in [
        (drawn[0], drawn[1]),
        *((drawn[0, :-lag], drawn[0, lag:]) for lag in range(1, 9)),  # 4 numbers lie in a word
    ]:
        assert abs(float((first == second).double().mean()) - 0.5) < 5 * 0.5 / math.sqrt(N)


def test_dropout__by_the_seed_of_torch_alone() -> None:
    values = torch.ones(1001)
    found = []
    for numpy_seed in (1, 2):
        np.random.seed(numpy_seed)  # a state that must have no say
        torch.manual_seed(7)
        found.append(quick_dropout(values, 0.3))
    assert torch.equal(*found)
    assert not torch.equal(found[0], quick_dropout(values, 0.3))


def test_dropout__gradient_of_what_is_kept() -> None:
    values = torch.randn(64, 33).t().requires_grad_()  # also where memory is not in order
    dropped = quick_dropout(values, 0.25)
    (gradient,) = torch.autograd.grad(dropped.sum(), values)
    torch.testing.assert_close(gradient, (dropped != 0).float() / 0.75)
    torch.testing.assert_close(dropped, values * gradient)


def test_dropout__second_derivatives() -> None:
    values = torch.randn(50, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(0)
    dropped = quick_dropout(values, 0.5)
    kept = (dropped != 0).double()
    (first,) = torch.autograd.grad((dropped**3).sum(), values, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), values)
    torch.testing.assert_close(second, 6 * 8 * values.detach() * kept)


def test_dropout__keeps_infinities_out_and_zeros_positive() -> None:
    dropped = quick_dropout(torch.full((1000,), float("inf")), 0.5)
    assert set(dropped.tolist()) == {0.0, float("inf")}
    assert quick_dropout(dropped, 0.0) is dropped
    assert not quick_dropout(dropped, 1.0).any()
