import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from lit_hf import InputError
from lit_hf.metrics.answer_score import AnswerScore
from tests.official_squad import evaluate

WORDS = ["the", "old", "mill", "Mill.", "river", "1921", "a", "서울", "", "by"]
Case = tuple[list[str], list[list[str]], list[float]]


def _case(seed: int, num_questions: int = 12) -> Case:
    """Random answers, gold answers (for a third of the questions none) and margins, some equal."""
    chance = random.Random(seed)

    def text() -> str:
        return " ".join(chance.choices(WORDS, k=chance.randint(1, 3)))

    predictions = [text() for _ in range(num_questions)]
    answers = [[text() for _ in range(chance.choice([0, 1, 3]))] for _ in range(num_questions)]
    margins = [float(torch.tensor(chance.choice([-1.5, 0.1, chance.gauss(0, 1)]))) for _ in answers]
    return predictions, answers, margins


def _official(case: Case, threshold: float | None) -> dict[str, float]:
    names = [str(number) for number in range(len(case[0]))]
    predictions = dict(zip(names, case[0], strict=True))
    answers = dict(zip(names, case[1], strict=True))
    if threshold is None:
        return evaluate(predictions, answers)
    return evaluate(predictions, answers, dict(zip(names, case[2], strict=True)), threshold)


def _ours(score: AnswerScore) -> dict[str, float]:
    values = {name: float(value) for name, value in score.compute().items()}
    return {
        {"exact_match": "exact", "num_examples": "total"}.get(name, name): value
        for name, value in values.items()
    }


@pytest.mark.parametrize("threshold", [None, 0.0, -0.7])
def test_scores__are_those_of_the_second_implementation(threshold: float | None) -> None:
    for seed in range(1000):
        case = _case(seed)
        score = AnswerScore(no_answer_threshold=threshold)
        score.update(case[0], case[1], None if threshold is None else case[2])
        wanted = _official(case, threshold)
        got = _ours(score)
        assert got == pytest.approx(wanted, nan_ok=True, abs=1e-6), case
        assert threshold is None or set(score.names) == set(score.compute())


@pytest.mark.parametrize("sizes", [[12], [1] * 12, [5, 0, 7]])
def test_scores__do_not_depend_on_the_batches(sizes: Sequence[int]) -> None:
    predictions, answers, margins = _case(3)
    whole = AnswerScore(no_answer_threshold=0.0)
    whole.update(predictions, answers, margins)
    parts = AnswerScore(no_answer_threshold=0.0)
    first = 0
    for size in sizes:
        part = slice(first, first + size)
        parts.update(predictions[part], answers[part], torch.tensor(margins[part]))
        first += size
    assert _ours(parts) == pytest.approx(_ours(whole), rel=1e-12)


def test_questions__without_answer_are_told_apart() -> None:
    score = AnswerScore()
    score.update(["", "mill", "mill"], [[], [], ["old mill"]])
    values = _ours(score)
    assert (values["NoAns_exact"], values["NoAns_total"]) == (50.0, 2.0)
    assert values["HasAns_exact"] == 0.0
    assert values["HasAns_f1"] == pytest.approx(200 / 3)


def test_threshold__found_is_reached_when_it_is_used() -> None:
    for seed in range(50):
        case = _case(seed)
        first = AnswerScore(no_answer_threshold=0.0)
        first.update(*case)
        found = first.compute()
        again = AnswerScore(no_answer_threshold=float(found["best_f1_thresh"]))
        again.update(*case)
        assert float(again.compute()["f1"]) == pytest.approx(float(found["best_f1"]))


@pytest.mark.parametrize(("threshold", "margins"), [(None, [0.0]), (0.0, None)])
def test_margins__and_threshold_go_together(
    threshold: float | None, margins: list[float] | None
) -> None:
    with pytest.raises(InputError, match="both, or none"):
        AnswerScore(no_answer_threshold=threshold).update(["a"], [["a"]], margins)


@pytest.mark.parametrize(
    ("predictions", "answers", "message"),
    [
        ("cat", ["c", "a", "t"], "takes a list of predictions"),
        (["cat", "dog"], [["cat"]], "takes a list of predictions"),
        (["cat"], [{"text": ["cat"], "answer_start": [0]}], r'row\["answers"\]\["text"\]'),
        ([{"prediction": "cat", "probability": 1.0}], [["cat"]], "but got a dict"),
        (["1921"], [[1921]], "list of texts"),
        (["cat"], [None], "but got a NoneType"),
    ],
)
def test_answers__that_are_no_texts_are_refused(
    predictions: Any,  # noqa: ANN401 - no texts
    answers: Any,  # noqa: ANN401 - no texts
    message: str,
) -> None:
    score = AnswerScore()
    with pytest.raises(InputError, match=message):
        score.update(predictions, answers)
    assert not score.rows
