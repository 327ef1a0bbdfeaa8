import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from lit_hf.functional.sequences import (
    IGNORED,
    mean_log_probabilities,
    token_losses,
    until_end,
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


def test_scores__do_not_grow_with_length() -> None:
    logits = _logits()
    scores = mean_log_probabilities(logits, LABELS)
    logs = logits.log_softmax(2)
    wanted = (logs[0, 0, 3] + logs[0, 1, 1] + logs[0, 2, 0]) / 3
    assert torch.allclose(scores, torch.stack([wanted, logs[1, 0, 2], torch.tensor(0.0)]))


@given(st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1, max_size=4))
def test_until_end__cuts_each_row_behind_its_first_end(rows: list[list[int]]) -> None:
    ends = {1, 3}
    for row, cut in zip(rows, until_end(torch.tensor(rows), ends).tolist(), strict=True):
        places = [place for place, token in enumerate(row) if token in ends]
        size = places[0] + 1 if places else len(row)
        assert cut == row[:size] + [IGNORED] * (len(row) - size)


def test_until_end__without_ends_keeps_all() -> None:
    assert until_end(torch.tensor([[1, 2]]), []).tolist() == [[1, 2]]
