import torch
import torch.nn.functional as F

from lit_hf.functional.sequences import (
    IGNORED,
    token_losses,
)

LABELS = torch.tensor([[3, 1, 0], [2, IGNORED, IGNORED], [IGNORED] * 3])


def _logits() -> torch.Tensor:
    return torch.randn(3, 3, 5, generator=torch.Generator().manual_seed(0))


def test_token_losses__are_torch_s_cross_entropy_token_by_token() -> None:
    logits = _logits()
    losses = token_losses(logits, LABELS)
    for row, place in [(0, 0), (0, 1), (0, 2), (1, 0)]:
        wanted = F.cross_entropy(logits[row, place][None], LABELS[row, place][None])
        assert torch.allclose(losses[row, place], wanted)
    assert losses[1, 1:].tolist() == [0, 0]
    assert losses[2].tolist() == [0, 0, 0]
    assert token_losses(logits.bfloat16(), LABELS).dtype is torch.float32
