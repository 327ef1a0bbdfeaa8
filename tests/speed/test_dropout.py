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
    values = torch.full((4, N // 4), 3.0, dtype=dtype).t().requires_grad_()  # not contiguous
    dropped = quick_dropout(values, p)
    assert (dropped.dtype, dropped.shape) == (dtype, (N // 4, 4))
    share = float((dropped == 0).double().mean())
    assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / N) + 1 / 65536
    kept = dropped[dropped != 0].double()
    torch.testing.assert_close(kept, torch.full_like(kept, 3 / (1 - p)), rtol=0.01, atol=0)
    (gradient,) = torch.autograd.grad(dropped.sum(), values)
    torch.testing.assert_close(gradient * 3, dropped, rtol=0.01, atol=0)


def test_dropout__numbers_are_independent() -> None:
    torch.manual_seed(0)
    first, second = (quick_dropout(torch.ones(N), 0.5) > 0 for _ in range(2))
    lagged = [(first[:-lag], first[lag:]) for lag in range(1, 9)]  # 4 numbers lie in a word
    for one, other in [(first, second), *lagged]:
        assert abs(float((one == other).double().mean()) - 0.5) < 5 * 0.5 / math.sqrt(N)


def test_dropout__by_the_seed_of_torch_alone() -> None:
    values, found = torch.ones(1001), []
    for numpy_seed in (1, 2):
        np.random.seed(numpy_seed)
        torch.manual_seed(7)
        found.append(quick_dropout(values, 0.3))
    assert torch.equal(*found)
    assert not torch.equal(found[0], quick_dropout(values, 0.3))
    assert torch.equal(quick_dropout(values, 0.0), values)
    assert not quick_dropout(values, 1.0).any()
