"""What both tasks of question answering share."""

from typing import Any, cast

import pytest
import torch
from torchmetrics.text import CharErrorRate, EditDistance

from lit_hf import AnswerScore, ExtractiveQA, GenerativeQA, InputError
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


def test_metrics__of_extracts_get_margins_where_there_may_be_no_answer() -> None:
    """A score by threshold is of the best span; others get what is answered, which may be ""."""
    module = ExtractiveQA("no model", no_answer_threshold=1.0)
    spans = [[Candidate(2.0, 9, 21)], [Candidate(1.0, 0, 11)]]
    scores, batch = SpanCandidates(CONTEXTS, spans, torch.tensor([-1.0, 3.0])), _batch()
    texts, answers, margins = module.metric_inputs(AnswerScore("en", 1.0), batch, scores)
    assert (texts, answers) == (TEXTS, batch["answers"])
    assert cast("torch.Tensor", margins).tolist() == [-1.0, 3.0]
    assert module.metric_inputs(EditDistance(), batch, scores)[0] == ["the old mill", ""]


def test_own_metrics__are_by_language_and_threshold() -> None:
    module = ExtractiveQA("no model", no_answer_threshold=0.5, language="ko")
    metric = module.configure_metrics()["answers"]
    assert isinstance(metric, AnswerScore)
    assert (metric.language, metric.no_answer_threshold) == ("ko", 0.5)
    metric = GenerativeQA("no model", language="plain").configure_metrics()["answers"]
    assert isinstance(metric, AnswerScore)
    assert (metric.language, metric.no_answer_threshold) == ("plain", None)


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


@pytest.mark.parametrize("kind", [ExtractiveQA, GenerativeQA])
def test_metric__of_letters_is_refused_for_lists_of_answers(kind: type[QuestionAnswering]) -> None:
    """It would take each of the right answers for a letter."""
    with pytest.raises(InputError, match=r"'letters'.*one text"):
        kind("no model", metrics={"letters": CharErrorRate()})
