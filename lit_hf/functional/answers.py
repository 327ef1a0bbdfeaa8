"""How an answer is compared with the right ones: exact match and F1, by language.

"en" is what the official SQuAD scripts do (https://rajpurkar.github.io/SQuAD-explorer/), "ko" what
KorQuAD's does (https://korquad.github.io/), "mixed" what MLQA's does for Chinese
(https://github.com/facebookresearch/MLQA), "plain" the English rules without the articles.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Literal

Language = Literal["en", "ko", "mixed", "plain"]

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = set(string.punctuation)
_KOREAN_MARKS = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))
_HAN = re.compile(r"[\u4e00-\u9fa5]")


def normalise(text: str, language: Language = "en") -> str:
    """Lower case, no punctuation, single spaces; no articles in English.

    Of mixed text each Chinese character becomes a word.

    >>> normalise("The  Eiffel-Tower, in Paris!")
    'eiffeltower in paris'
    >>> normalise("《춘향전》(고전)", "ko")
    '춘향전 고전'
    """
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
    found, wanted = tokens_of(prediction, language), tokens_of(answer, language)
    if not found or not wanted:
        return float(found == wanted)
    num_same = sum((Counter(found) & Counter(wanted)).values())
    if not num_same:
        return 0.0
    precision, recall = num_same / len(found), num_same / len(wanted)
    return 2 * precision * recall / (precision + recall)


def score_answer(
    prediction: str, answers: Sequence[str], language: Language = "en"
) -> tuple[float, float]:
    """Exact match and F1 of a prediction against the best of the right answers.

    Args:
        prediction: the answer; "" says that there is none.
        answers: all right answers. Those of which normalising leaves nothing do not count, and
            without any the right answer is "".
        language: how texts are compared.

    >>> score_answer("in 1921", ["1921", "the year 1921"]), score_answer("", [])
    ((0.0, 0.666...), (1.0, 1.0))
    """
    wanted = [answer for answer in answers if normalise(answer, language)] or [""]
    return (
        max(exact_match(prediction, answer, language) for answer in wanted),
        max(f1(prediction, answer, language) for answer in wanted),
    )
