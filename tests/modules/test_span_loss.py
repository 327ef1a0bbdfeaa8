from typing import cast

import torch
import torch.nn.functional as F
from lightning.pytorch.plugins.precision import HalfPrecision

from lit_hf.batches import SpanBatch, SpanOutput
from lit_hf.modules.span_loss import chosen_windows, cross_entropy, window_losses, window_weights


def _batch(first: list[int], answers: list[list[str]], window_of: list[int]) -> SpanBatch:
    """Windows whose "no answer" is token 0, six tokens long, the second one padded by two."""
    mask = torch.ones(len(first), 6, dtype=torch.int64)
    mask[1, 4:] = 0
    known = {
        "answers": answers,
        "window_of": torch.tensor(window_of),
        "first_token": torch.tensor(first),
        "last_token": torch.tensor(first),
        "no_answer_token": torch.zeros(len(first), dtype=torch.int64),
        "attention_mask": mask,
    }
    return cast("SpanBatch", known)


def test_cross_entropy__is_that_of_torch_and_sees_no_padding() -> None:
    logits = torch.randn(3, 9, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 4, 8])
    padded = F.pad(logits, (0, 3), value=-torch.inf)
    for smoothing in (0.0, 0.2):
        wanted = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        assert torch.allclose(cross_entropy(padded, targets, smoothing), wanted)


def test_losses__are_the_mean_of_start_and_end() -> None:
    batch = _batch([1, 2], [["a"]], [0, 0])
    starts, ends = torch.randn(2, 2, 6, generator=torch.Generator().manual_seed(1))
    output = {"windows": torch.tensor([1]), "start_logits": starts[1:], "end_logits": ends[1:]}
    losses = window_losses(batch, cast("SpanOutput", output), 0.0)
    two = torch.tensor([2])
    wanted = F.cross_entropy(starts[1:, :4], two) + F.cross_entropy(ends[1:, :4], two)
    assert torch.allclose(losses, wanted[None] / 2)


def test_weights__are_less_where_another_window_holds_the_answer() -> None:
    batch = _batch([3, 0, 0], [["a"], []], [0, 0, 1])
    assert window_weights(batch, 0.25).tolist() == [1.0, 0.25, 1.0]


def test_chosen__are_all_or_those_with_an_answer_first() -> None:
    is_empty = torch.tensor([True, False, True, True, False])
    assert chosen_windows(is_empty, 5).tolist() == [0, 1, 2, 3, 4]
    assert chosen_windows(is_empty, 2).tolist() == [1, 4]
    picks = {tuple(chosen_windows(is_empty, 3).tolist()) for _ in range(50)}
    assert picks == {(0, 1, 4), (1, 2, 4), (1, 3, 4)}


def test_windows__are_weighed_and_drawn_alike_where_the_default_dtype_is_half() -> None:
    batch = _batch([0, 2, 0], [["a"]], [0, 0, 0])
    is_empty = torch.ones(500, dtype=torch.bool)

    def found() -> tuple[list[float], list[int]]:
        torch.manual_seed(0)
        chosen = chosen_windows(is_empty, 100).tolist()
        return window_weights(batch, 0.3).tolist(), chosen

    wanted = found()
    with HalfPrecision("bf16-true").forward_context():
        assert found() == wanted
