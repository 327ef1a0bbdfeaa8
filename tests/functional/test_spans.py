import itertools
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lit_hf.functional.spans import BestSpans, Span, best_spans, merge_windows, token_span

CONTEXTS = st.lists(
    st.sampled_from(["Ada", "été", "e\u0301", "👩‍👩‍👧", "서울시", ",", " ", "  ", "\n", "10", "x"])
    | st.text(min_size=1, max_size=3),
    min_size=1,
    max_size=25,
).map("".join)


def _tokens(text: str) -> list[Span]:
    """Words and single marks, as a tokenizer cuts; spaces belong to none."""
    return [found.span() for found in re.finditer(r"\w+|[^\w\s]", text)]


def _windows(tokens: list[Span], room: int, stride: int) -> list[list[Span]]:
    starts = range(0, max(1, len(tokens) - stride), room - stride)
    return [tokens[start : start + room] for start in starts]


def _characters(offsets: list[Span], tokens: Span) -> Span:
    """The way back, as answers go it."""
    start, end = torch.tensor(tokens)[:, None, None]
    spans = BestSpans(torch.zeros(1, 1), start, end)
    (((_, first, last),),) = merge_windows(spans, torch.tensor([offsets]), [0], 1)
    return first, last


@settings(max_examples=1000)
@given(context=CONTEXTS, data=st.data())
def test_spans__of_an_answer_lead_back_to_it_in_every_window_that_holds_it(
    context: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, len(context)))
    room = data.draw(st.integers(2, 8))
    stride = data.draw(st.integers(0, room - 1))
    tokens = _tokens(context)
    meant = {place for place in range(start, end) if not context[place].isspace()}
    for window in _windows(tokens, room, stride):
        offsets = [(0, 0), *window, (0, 0)]
        covered = (
            0 if window[:1] == tokens[:1] else window[0][0],
            len(context) if window[-1:] == tokens[-1:] else window[-1][1],
        )
        found = token_span(offsets, covered, (start, end))
        if found is None:
            assert not (covered[0] <= start and end <= covered[1]) or not meant
            continue
        first, last = _characters(offsets, found)
        assert meant <= set(range(first, last))
        # no token too many at either end
        assert first < end
        assert last > start
        assert offsets[found[0]][1] > start
        assert offsets[found[1]][0] < end


def test_token_span__refuses_an_answer_cut_by_the_window() -> None:
    offsets = [(0, 0), (10, 14), (15, 19)]
    assert token_span(offsets, (10, 19), (10, 19)) == (1, 2)
    assert token_span(offsets, (10, 19), (9, 14)) is None
    assert token_span(offsets, (10, 19), (15, 20)) is None
    assert token_span(offsets, (0, 19), (9, 14)) == (1, 1)  # what lies before is no token


def _by_hand(start: Tensor, end: Tensor, context: Tensor, longest: int) -> list[tuple[float, Span]]:
    places = itertools.product(range(len(start)), repeat=2)
    found = [
        (float(start[a] + end[b]), (a, b))
        for a, b in places
        if a <= b < a + longest and context[a] and context[b]
    ]
    return sorted(found, reverse=True)


@pytest.mark.parametrize("longest", [1, 3, 30])
def test_best_spans__are_those_of_a_search_by_hand(longest: int) -> None:
    generator = torch.Generator().manual_seed(longest)
    start, end = torch.randn(2, 5, 11, generator=generator)
    context = torch.ones(5, 11, dtype=torch.bool)
    context[:, :3] = False
    context[2:, 8:] = False
    found = best_spans(start, end, context, longest, num_best=4)
    for window in range(5):
        wanted = _by_hand(start[window], end[window], context[window], longest)[:4]
        assert found.scores[window].tolist() == pytest.approx([score for score, _ in wanted])
        got = zip(found.starts[window].tolist(), found.ends[window].tolist(), strict=True)
        assert list(got) == [span for _, span in wanted]


def test_best_spans__takes_half_precision() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0]], dtype=torch.bfloat16)
    found = best_spans(logits, logits, torch.ones(1, 3, dtype=torch.bool), 2, 1)
    assert found.scores.dtype == torch.float32
    assert found.scores.item() == 6.0


def test_merge__keeps_each_place_once_with_its_best_score() -> None:
    # Two windows of example 1 hold the same token at characters 4..9; one of example 0.
    offsets = torch.tensor(
        [[[0, 0], [0, 3], [4, 9]], [[0, 0], [4, 9], [10, 12]], [[0, 0], [0, 1], [2, 5]]]
    )
    spans = BestSpans(
        torch.tensor([[5.0, 4.0], [6.0, 5.0], [1.0, 0.5]]),
        torch.tensor([[2, 1], [1, 2], [1, 2]]),
        torch.tensor([[2, 2], [1, 2], [1, 2]]),
    )
    zero, one = merge_windows(spans, offsets, [1, 1, 0], 2)
    assert one == [(6.0, 4, 9), (5.0, 10, 12), (4.0, 0, 9)]
    assert zero == [(1.0, 0, 1), (0.5, 2, 5)]
