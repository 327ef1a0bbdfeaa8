from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.plugins.precision import HalfPrecision
from torch import nn

from lit_hf.batches import SpanBatch, SpanOutput
from lit_hf.modules.span_loss import chosen_windows, cross_entropy, span_terms, window_weights


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
    terms = span_terms(None, batch, cast("SpanOutput", output), 0.5)
    two = torch.tensor([2])
    wanted = F.cross_entropy(starts[1:, :4], two) + F.cross_entropy(ends[1:, :4], two)
    assert torch.allclose(terms.numerators, wanted[None] / 2)
    assert (terms.weights.tolist(), terms.examples.tolist()) == ([1.0], [0])


def test_weights__are_less_where_another_window_holds_the_answer() -> None:
    batch = _batch([3, 0, 0], [["a"], []], [0, 0, 1])
    assert window_weights(batch, 0.25).tolist() == [1.0, 0.25, 1.0]


def _output() -> SpanOutput:
    starts, ends = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(1))
    return {"windows": torch.arange(3), "start_logits": starts, "end_logits": ends}


def test_terms__are_weighed_and_of_their_question() -> None:
    batch, output = _batch([3, 0, 0], [["a"], []], [0, 0, 1]), _output()
    plain = span_terms(None, batch, output, 1.0)
    terms = span_terms(None, batch, output, 0.25)
    assert terms.weights.tolist() == [1.0, 0.25, 1.0]
    assert torch.equal(terms.numerators, plain.numerators * terms.weights)
    assert terms.examples.tolist() == [0, 0, 1]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_loss_of_the_user__is_applied_to_start_and_end(smoothing: float) -> None:
    """Smoothing spreads over the tokens of a window, as torch's would without padding."""
    batch, output = _batch([3, 0, 0], [["a"], []], [0, 0, 1]), _output()
    loss = nn.CrossEntropyLoss(reduction="none", label_smoothing=smoothing)
    found = span_terms(loss, batch, output, 1.0).numerators
    for row, size in enumerate((6, 4, 6)):
        ends = (output["start_logits"][row, :size], output["end_logits"][row, :size])
        wanted = sum(loss(logits, batch["first_token"][row]) for logits in ends) / 2
        assert float(found[row]) == pytest.approx(float(wanted), rel=1e-5)

    def squared(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, targets, reduction="none") ** 2

    found = span_terms(squared, batch, output, 0.25).numerators
    ends = (output["start_logits"][1, :4], output["end_logits"][1, :4])
    wanted = sum(F.cross_entropy(logits, torch.tensor(0)) ** 2 for logits in ends) / 2
    assert float(found[1]) == pytest.approx(float(wanted) * 0.25, rel=1e-5)


def test_ignored_token_of_the_user__counts_in_no_window() -> None:
    """Such as "no answer", to train on the windows that hold one alone."""
    batch, output = _batch([3, 0, 2], [["a"], ["b"]], [0, 0, 1]), _output()
    loss = nn.CrossEntropyLoss(reduction="none", ignore_index=0)
    terms, plain = (span_terms(one, batch, output, 1.0) for one in (loss, None))
    assert terms.weights.tolist() == [1.0, 0.0, 1.0]
    assert torch.allclose(terms.numerators, plain.numerators * terms.weights)


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


def test_target__behind_the_last_token_counts_nothing() -> None:
    """As in transformers, whose batches say so that an answer is cut off."""
    logits = torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
    batch = cast(
        "SpanBatch",
        {
            "window_of": torch.tensor([0, 1]),
            "first_token": torch.tensor([3, 6]),
            "last_token": torch.tensor([4, 6]),
            "no_answer_token": torch.zeros(2, dtype=torch.int64),
            "attention_mask": torch.ones(2, 6, dtype=torch.int64),
        },
    )
    output: Any = {"windows": torch.arange(2), "start_logits": logits, "end_logits": logits}
    for loss in (None, nn.CrossEntropyLoss(reduction="none")):
        terms = span_terms(loss, batch, output, 1.0)
        assert terms.weights.tolist() == [1.0, 0.0]
        wanted = F.cross_entropy(logits[:1], torch.tensor([3]))
        wanted = wanted + F.cross_entropy(logits[:1], torch.tensor([4]))
        assert terms.numerators.tolist() == pytest.approx([float(wanted) / 2, 0.0])
