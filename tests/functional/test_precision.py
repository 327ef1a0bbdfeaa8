import pytest
import torch

from lit_hf.functional.precision import is_half, precise, precise_dtype


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_precise__widens_what_is_narrower_and_nothing_else(
    dtype: torch.dtype, wanted: torch.dtype
) -> None:
    tensor = torch.tensor([1.5], dtype=dtype)
    assert precise(tensor).dtype == precise_dtype(dtype) == wanted
    assert is_half(tensor) is (dtype != wanted)
