"""What both tasks of question answering share."""

from typing import Any

import pytest
import torch
from torchmetrics.text import EditDistance

from lit_hf import AnswerScore, ExtractiveQA, GenerativeQA
from lit_hf.functional.spans import Candidate
from lit_hf.metrics.function import FunctionMetric
from lit_hf.modules.decoding.spans import SpanCandidates
from lit_hf.modules.question_answering import QuestionAnswering

CONTEXTS = ["Ada sold the old mill.", "Her brother kept the ferry."]
TEXTS = ["the old mill", "Her brother"]


@pytest.fixture(params=["extractive", "generative"])
def found(request: pytest.FixtureRequest) -> tuple[QuestionAnswering, Any]:
    """A module without its model, and scores of two questions."""
    if request.param == "generative":
        written = [[{"text": text, "score": -1.0, "probability": 0.4}] for text in TEXTS]
        return GenerativeQA("no model"), written
    spans = [[Candidate(2.0, 9, 21)], [Candidate(1.0, 0, 11)]]
    return ExtractiveQA("no model"), SpanCandidates(CONTEXTS, spans, torch.tensor([-1.0, 3.0]))


def _batch() -> Any:  # noqa: ANN401 - a batch of either task, as far as it is looked at
    return {
        "id": ["q8", "q3"],
        "index": [8, 3],
        "question": ["What?", "Who?"],
        "context": CONTEXTS,
        "answers": [["the old mill", "mill"], ["brother"]],
        "input_ids": torch.zeros(5, 4, dtype=torch.int64),
        "window_of": torch.tensor([0, 0, 0, 1, 1]),
    }


def test_metrics__get_texts_and_all_right_answers(found: tuple[QuestionAnswering, Any]) -> None:
    module, scores = found
    batch = _batch()
    function = FunctionMetric(lambda predictions, answers: 0.0)
    for metric in (AnswerScore(), EditDistance(), function):
        assert module.metric_inputs(metric, batch, scores) == (TEXTS, batch["answers"])


def test_examples__are_questions_and_of_ordinary_batches_windows(
    found: tuple[QuestionAnswering, Any],
) -> None:
    module, _ = found
    batch = _batch()
    assert (module.is_complete(batch), module.num_examples(batch)) == (True, 2)
    ordinary: Any = {"input_ids": batch["input_ids"]}
    assert (module.is_complete(ordinary), module.num_examples(ordinary)) == (False, 5)


def test_shown__is_compared_by_language(found: tuple[QuestionAnswering, Any]) -> None:
    module, scores = found
    first, second = module.decide(scores)
    shown = module.show(_batch(), 0, first)
    assert shown["input"] == "What? ‖ Ada sold [«the old mill»]."
    assert (shown["prediction"], shown["truth"], shown["correct"]) == (
        "the old mill",
        "the old mill",
        True,
    )
    assert module.show(_batch(), 1, second)["correct"] is False
