import random
from collections.abc import Callable, Sequence
from typing import cast

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
    assert _ours(parts) == _ours(whole)  # to the last bit


def test_copies__do_not_count() -> None:
    score = AnswerScore()
    score.update(["mill", "x"], [["mill"], ["mill"]], is_padding=torch.tensor([False, True]))
    score.update(["mill"], [["river"]], is_padding=[True])
    assert _ours(score) == {"exact": 100.0, "f1": 100.0, "total": 1.0}


def test_questions__without_answer_are_told_apart() -> None:
    score = AnswerScore()
    score.update(["", "mill", "mill"], [[], [], ["old mill"]])
    values = _ours(score)
    assert (values["NoAns_exact"], values["NoAns_total"]) == (50.0, 2.0)
    assert values["HasAns_exact"] == 0.0
    assert values["HasAns_f1"] == pytest.approx(200 / 3)


def test_threshold__is_the_best_one_that_parts_no_equals() -> None:
    score = AnswerScore(no_answer_threshold=-5.0)
    score.update(["mill", "mill", "x", "mill"], [["mill"], [], ["mill"], ["mill"]], [1, 1, 0, -1])
    values = _ours(score)
    assert values["exact"] == 25.0  # all unanswered, one rightly so
    assert (values["best_exact"], values["best_exact_thresh"]) == (50.0, -1.0)


def test_threshold__found_is_reached_when_it_is_used() -> None:
    for seed in range(50):
        case = _case(seed)
        first = AnswerScore(no_answer_threshold=0.0)
        first.update(*case)
        found = first.compute()
        again = AnswerScore(no_answer_threshold=float(found["best_f1_thresh"]))
        again.update(*case)
        assert float(again.compute()["f1"]) == pytest.approx(float(found["best_f1"]))


def test_nothing__counted_is_no_crash() -> None:
    score = AnswerScore(no_answer_threshold=0.0)
    score.update([], [], [])
    values = _ours(score)
    assert values["total"] == 0
    assert values["f1"] != values["f1"]


@pytest.mark.parametrize(("threshold", "margins"), [(None, [0.0]), (0.0, None)])
def test_margins__and_threshold_go_together(
    threshold: float | None, margins: list[float] | None
) -> None:
    with pytest.raises(InputError, match="both, or none"):
        AnswerScore(no_answer_threshold=threshold).update(["a"], [["a"]], margins)


@pytest.mark.parametrize("num_questions", [1, 2])
def test_scores__of_few_questions_are_those_of_the_second_implementation(
    num_questions: int,
) -> None:
    for seed in range(200):
        case = _case(seed, num_questions)
        score = AnswerScore(no_answer_threshold=0.0)
        score.update(*case)
        assert _ours(score) == pytest.approx(_official(case, 0.0), nan_ok=True, abs=1e-6), case


def test_answers__that_are_plain_texts_are_one_each() -> None:
    score = AnswerScore()
    score.update(["cat", "a dog", "", "x"], ["cat", "the dog", "", ["y", "x"]])
    assert _ours(score)["exact"] == 100.0
    assert _ours(score)["NoAns_total"] == 1.0


@pytest.mark.parametrize(
    ("predictions", "answers", "message"),
    [
        ("cat", ["c", "a", "t"], "wants a list of predictions"),
        (["c", "a", "t"], "cat", "wants a list of predictions"),
        ({"prediction_text": "x", "id": "1"}, {"answers": {}, "id": "1"}, "but got a dict"),
        (["cat"], [{"text": ["cat"], "answer_start": [0]}], r'row\["answers"\]\["text"\]'),
        ([{"prediction_text": "cat", "id": "1"}], [["cat"]], r'row\["prediction_text"\]'),
        ([{"prediction": "cat", "probability": 1.0}], [["cat"]], r'row\["prediction"\] for row'),
        ([1921], [["1921"]], "each prediction to be a text.*int: 1921"),
        (["1921"], [[1921]], r"as a list of texts.*list: \[1921\]"),
        (["cat"], [None], "for no answer, but got a NoneType"),
        (["cat", "dog"], [["cat"]], "2 predictions, 1 answers"),
        (["cat"], [["cat"], ["dog"]], "1 predictions, 2 answers"),
    ],
)
def test_answers__that_are_no_texts_are_refused_and_nothing_is_counted(
    predictions: object, answers: object, message: str
) -> None:
    score = AnswerScore()
    update = cast("Callable[[object, object], None]", score.update)
    with pytest.raises(InputError, match=message):
        update(predictions, answers)
    assert int(score.sums.sum()) == 0


def test_lists__of_margins_and_copies_are_as_long() -> None:
    with pytest.raises(InputError, match="1 margins"):
        AnswerScore(no_answer_threshold=0.0).update(["a", "b"], [["a"], []], [0.5])
    with pytest.raises(InputError, match="3 is_padding"):
        AnswerScore().update(["a"], [["a"]], is_padding=[False, True, True])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_margins__are_not_rounded_where_the_default_dtype_is_half(dtype: torch.dtype) -> None:
    case = _case(1)
    wanted = AnswerScore(no_answer_threshold=0.1)
    wanted.update(*case)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        score = AnswerScore(no_answer_threshold=0.1)
        score.update(*case)
    finally:
        torch.set_default_dtype(before)
    assert _ours(score) == pytest.approx(_ours(wanted), rel=0, abs=0, nan_ok=True)
