"""How an answer is compared with the right ones: exact match and F1, by language.

"en" is what the official SQuAD scripts do (https://rajpurkar.github.io/SQuAD-explorer/), "ko" what
KorQuAD's does (https://korquad.github.io/), "mixed" what MLQA's does for Chinese
(https://github.com/facebookresearch/MLQA), "plain" the English rules without the articles.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from lit_hf.errors import InputError

Language = Literal["en", "ko", "mixed", "plain"]

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = set(string.punctuation)
_KOREAN_MARKS = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))
_HAN = re.compile(r"[\u4e00-\u9fa5]")


def normalise(text: str, language: Language = "en") -> str:
    """Lower case, no punctuation, single spaces; no articles in English.

    Of mixed text each Chinese character becomes a word. The two forms of a letter, one character
    or several (NFC, NFD), are one, which the scripts leave to the file.

    >>> normalise("The  Eiffel-Tower, in Paris!")
    'eiffeltower in paris'
    >>> normalise("《춘향전》(고전)", "ko")
    '춘향전 고전'
    """
    text = unicodedata.normalize("NFC", text)
    text = text.translate(_KOREAN_MARKS) if language == "ko" else text
    text = text.lower()
    if language == "mixed":
        text = "".join(c for c in text if not _is_punctuation(c))
        text = _HAN.sub(lambda found: f" {found[0]} ", text)
    else:
        text = "".join(c for c in text if c not in _PUNCTUATION)
    if language == "en":
        text = _ARTICLES.sub(" ", text)
    return " ".join(text.split())


def _is_punctuation(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character).startswith("P")


def tokens_of(text: str, language: Language = "en") -> list[str]:
    """What F1 counts: words; in Korean characters; of mixed text Chinese characters and words.

    >>> tokens_of("the old mill"), tokens_of("서울 시", "ko"), tokens_of("在 London 城", "mixed")
    (['old', 'mill'], ['서', '울', '시'], ['在', 'london', '城'])
    """
    text = normalise(text, language)
    if language == "ko":
        return [character for character in text if not character.isspace()]
    return text.split()


def exact_match(prediction: str, answer: str, language: Language = "en") -> float:
    """1 where both are the same once normalised, else 0.

    >>> exact_match("The old mill.", "old mill"), exact_match("mill", "old mill")
    (1.0, 0.0)
    """
    return float(normalise(prediction, language) == normalise(answer, language))


def f1(prediction: str, answer: str, language: Language = "en") -> float:
    """Harmonic mean of precision and recall of the tokens, each as often as it occurs.

    Where one side has no tokens, 1 if the other has none either, as in the SQuAD 2.0 script.

    >>> f1("in the old mill", "the old mill by the river"), f1("", "mill"), f1("", "")
    (0.5714..., 0.0, 1.0)
    """
    found, expected = tokens_of(prediction, language), tokens_of(answer, language)
    if not found or not expected:
        return float(found == expected)
    num_same = sum((Counter(found) & Counter(expected)).values())
    if not num_same:
        return 0.0
    precision, recall = num_same / len(found), num_same / len(expected)
    return 2 * precision * recall / (precision + recall)


def score_answer(
    prediction: str, answers: Sequence[str], language: Language = "en"
) -> tuple[float, float]:
    """Exact match and F1 of a prediction against the best of the right answers.

    Args:
        prediction: the answer; "" says that there is none.
        answers: all right answers, a single one may be a plain string. Those of which normalising
            leaves nothing do not count, and without any the right answer is "".
        language: how texts are compared.

    Raises:
        InputError: if these are no texts.

    >>> score_answer("in 1921", ["1921", "the year 1921"]), score_answer("", [])
    ((0.0, 0.666...), (1.0, 1.0))
    """
    check_prediction(prediction)
    found = right_answers(answers)
    expected = [answer for answer in found if normalise(answer, language)] or [""]
    return (
        max(exact_match(prediction, answer, language) for answer in expected),
        max(f1(prediction, answer, language) for answer in expected),
    )


def check_prediction(prediction: object) -> None:
    """Refuse what is no answer to compare, such as a row of `Predictor`.

    Raises:
        InputError: saying what to give instead.
    """
    if not isinstance(prediction, str):
        raise InputError(
            'Expected each prediction to be a text, "" for no answer (of a row of `Predictor` '
            f'`row["prediction"]`), but got a {type(prediction).__name__}: {str(prediction)[:80]}.'
        )


def right_answers(answers: object) -> list[str]:
    """All right answers of one question; a plain string is one answer, "" says that there is none.

    Args:
        answers: a list of texts, [] where there is no answer, or one text.

    Raises:
        InputError: if it is something else, such as the `answers` of a row of SQuAD.

    >>> right_answers("cat"), right_answers(["cat", "a cat"]), right_answers("")
    (['cat'], ['cat', 'a cat'], [])
    """
    if isinstance(answers, str):
        return [answers] if answers else []
    found: list[Any] = list(answers) if isinstance(answers, Iterable) else [answers]
    if not isinstance(answers, Mapping) and all(isinstance(answer, str) for answer in found):
        return found
    raise InputError(
        "Expected the right answers of each question as a list of texts (of a row of SQuAD `row["
        '"answers"]["text"]`), [] for no answer, but got a '
        f"{type(answers).__name__}: {str(answers)[:80]}."
    )
