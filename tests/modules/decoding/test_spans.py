import pytest
import torch
from torch import Tensor

from lit_hf.batches import SpanBatch, SpanOutput
from lit_hf.functional.spans import Candidate
from lit_hf.modules.decoding.spans import (
    SpanCandidates,
    decode_spans,
    predict_spans,
)

CONTEXT = "the old mill"
OFFSETS = [[0, 0], [0, 0], [0, 3], [3, 7], [7, 12]]  # some tokens bring their space along


def _batch(num_windows: int = 1) -> SpanBatch:
    zeros = torch.zeros(num_windows, dtype=torch.int64)
    return {
        "id": ["q"],
        "index": [7],
        "question": ["What?"],
        "context": [CONTEXT],
        "answers": [["old mill"]],
        "window_of": zeros,
        "input_ids": torch.zeros(num_windows, 5, dtype=torch.int64),
        "attention_mask": torch.ones(num_windows, 5, dtype=torch.int64),
        "offsets": torch.tensor([OFFSETS] * num_windows),
        "first_token": zeros,
        "last_token": zeros,
        "no_answer_token": zeros,
    }


def _output(starts: Tensor, ends: Tensor) -> SpanOutput:
    return {
        "windows": torch.arange(len(starts)),
        "start_logits": starts,
        "end_logits": ends,
    }


def test_found__uses_start_and_end_logits_each_for_its_end() -> None:
    starts = torch.tensor([[0.5, 9.0, 1.0, 4.0, 0.0]])  # the largest of all is no context
    ends = torch.tensor([[0.25, 9.0, 5.0, 1.0, 3.0]])
    found = decode_spans(_batch(), _output(starts, ends), longest=30, num_best=2)
    assert found.candidates == [[Candidate(7.0, 3, 12), Candidate(6.0, 0, 3)]]
    assert found.margins.tolist() == [0.75 - 7.0]


def test_margin__takes_the_window_least_sure_of_no_answer() -> None:
    starts = torch.tensor([[4.0, 0, 1, 0, 0], [-1.0, 0, 0, 2, 0]])
    found = decode_spans(_batch(2), _output(starts, starts.clone()), longest=1, num_best=3)
    assert found.margins.tolist() == [-2.0 - 4.0]
    assert found.candidates[0][0] == (4.0, 3, 7)


def test_found__of_some_questions_are_those_of_all() -> None:
    generator = torch.Generator().manual_seed(2)
    starts, ends = torch.randn(2, 4, 5, generator=generator)
    batch = _batch(4)
    batch["context"] = [CONTEXT, CONTEXT[:9], CONTEXT]
    batch["window_of"] = torch.tensor([0, 0, 1, 2])
    output = _output(starts, ends)
    everyone = decode_spans(batch, output, 3, 2)
    some = decode_spans(batch, output, 3, 2, rows=[2, 0])
    assert some.contexts == [CONTEXT, CONTEXT]
    assert some.candidates == [everyone.candidates[2], everyone.candidates[0]]
    assert some.margins.tolist() == everyone.margins[[2, 0]].tolist()


def test_found__where_the_context_has_no_token() -> None:
    batch = _batch()
    batch["offsets"] = torch.zeros_like(batch["offsets"])
    logits = torch.zeros(1, 5)
    found = decode_spans(batch, _output(logits, logits), longest=3, num_best=3)
    (answer,) = predict_spans(found, None)
    assert (answer["prediction"], answer["n_best"]) == ("", [])
    assert answer["probability"] == 1.0


FOUND = SpanCandidates(
    [CONTEXT], [[Candidate(3.0, 3, 12), Candidate(1.0, 0, 3)]], torch.tensor([1.0])
)


@pytest.mark.parametrize(("threshold", "prediction"), [(0.9, ""), (1.0, "old mill")])
def test_told__with_threshold_may_say_that_there_is_none(threshold: float, prediction: str) -> None:
    (answer,) = predict_spans(FOUND, threshold)
    assert answer["prediction"] == prediction
    wanted = torch.tensor([3.0, 1.0, 4.0]).softmax(0)
    assert answer["no_answer_probability"] == pytest.approx(float(wanted[2]))
    assert answer["probability"] == pytest.approx(float(wanted[0 if prediction else 2]))
    assert (answer["start"] is None) is (not prediction)
