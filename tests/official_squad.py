"""The rules of the official SQuAD 1.1, SQuAD 2.0 and KorQuAD 1.0 scripts, written a second time.

It shares no line with the package, so that a mistake in one of them shows.
"""

import re
import string
from collections.abc import Mapping, Sequence

Articles = list[dict[str, list[dict[str, object]]]]


def plain(text: str, korean: bool = False) -> str:
    kept = []
    for character in text.lower():
        if korean and character in "'\"《》<>〈〉()‘’":
            kept.append(" ")
        elif character not in string.punctuation:
            kept.append(character)
    joined = "".join(kept)
    if not korean:
        joined = re.sub(r"\b(?:an|a|the)\b", " ", joined)
    return " ".join(joined.split())


def equal(answer: str, gold: str, korean: bool = False) -> int:
    return int(plain(answer, korean) == plain(gold, korean))


def overlap(answer: str, gold: str, korean: bool = False) -> float:
    said = plain(answer, korean).split()
    meant = plain(gold, korean).split()
    if korean:
        said, meant = list("".join(said)), list("".join(meant))
    if min(len(said), len(meant)) == 0:
        return float(len(said) == len(meant))
    left = list(meant)
    same = 0
    for token in said:
        if token in left:
            left.remove(token)
            same += 1
    if same == 0:
        return 0.0
    precision = same / len(said)
    recall = same / len(meant)
    return (2 * precision * recall) / (precision + recall)


def raw_scores(
    answers: Mapping[str, str], golds: Mapping[str, Sequence[str]], korean: bool = False
) -> dict[str, tuple[float, float]]:
    scores = {}
    for name, texts in golds.items():
        wanted = [text for text in texts if plain(text, korean)]
        if not wanted:
            wanted = [""]
        scores[name] = (
            max(float(equal(answers[name], text, korean)) for text in wanted),
            max(overlap(answers[name], text, korean) for text in wanted),
        )
    return scores


def evaluate(
    answers: Mapping[str, str],
    golds: Mapping[str, Sequence[str]],
    margins: Mapping[str, float] | None = None,
    threshold: float = 0.0,
    korean: bool = False,
) -> dict[str, float]:
    """All numbers that the scripts print, by the names of the 2.0 script."""
    raw = raw_scores(answers, golds, korean)
    final = dict(raw)
    for name, margin in (margins or {}).items():
        if margin > threshold:
            final[name] = (float(not golds[name]),) * 2
    result = _means("", final, list(golds))
    answerable = [name for name in golds if golds[name]]
    rest = [name for name in golds if not golds[name]]
    if rest or margins is not None:
        result |= _means("HasAns_", final, answerable) | _means("NoAns_", final, rest)
    for place, kind in ((0, "exact"), (1, "f1")) if margins is not None else ():
        assert margins is not None
        lowest = min(margins.values())
        best, chosen = -1.0, 0.0
        for cut in [lowest - 1, *sorted(set(margins.values()))]:
            total = sum(
                raw[name][place] if margins[name] <= cut else float(not golds[name])
                for name in golds
            )
            if total > best + 1e-9:
                best, chosen = total, cut
        result |= {f"best_{kind}": 100 * best / len(golds), f"best_{kind}_thresh": chosen}
    return result


def _means(
    prefix: str, scores: Mapping[str, tuple[float, float]], names: Sequence[str]
) -> dict[str, float]:
    total = len(names)
    if not total:
        nan = float("nan")
        return {f"{prefix}exact": nan, f"{prefix}f1": nan, f"{prefix}total": 0}
    return {
        f"{prefix}exact": 100.0 * sum(scores[name][0] for name in names) / total,
        f"{prefix}f1": 100.0 * sum(scores[name][1] for name in names) / total,
        f"{prefix}total": total,
    }
