"""What all rounds say together: medians of speeds, of memory and scores, and of the ratios."""

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.speed.work import SCORES

STAGES = ("train", "validate", "predict")
Round = dict[str, dict[str, Any]]
"""What everybody has counted in a round, by name and stage."""


def speed(counts: dict[str, Any], stage: str) -> float:
    """Rows a second."""
    return float(counts[stage]["rows"]) / float(counts[stage]["seconds"])


def summarise(rounds: Sequence[Round]) -> dict[str, Any]:
    """Medians for everybody, and of the ratios of lit_hf to the others within a round."""
    found: dict[str, Any] = {}
    for who in rounds[0]:
        runs = [turn[who] for turn in rounds]
        stages = [stage for stage in STAGES if stage in runs[0]]
        found[who] = _medians(runs, stages)
        found[who]["ratio"] = {
            stage: statistics.median(
                speed(turn["lit_hf"], stage) / speed(turn[who], stage) for turn in rounds
            )
            for stage in stages
            if "lit_hf" in rounds[0]
        }
    return found


def _medians(runs: list[dict[str, Any]], stages: Sequence[str]) -> dict[str, Any]:
    """Of one: rows and tokens a second, padding, time outside of the step, memory, scores."""

    def median(values: Any) -> float:  # noqa: ANN401 - an iterable of numbers
        return float(statistics.median(values))

    told: dict[str, Any] = {
        f"{stage}_rows_per_second": median(speed(counts, stage) for counts in runs)
        for stage in stages
    }
    if "peak_mib" in runs[0]:
        told["peak_mib"] = median(counts["peak_mib"] for counts in runs)
    for stage in stages:
        if "peak_gpu_mib" in runs[0][stage]:
            told[f"{stage}_peak_gpu_mib"] = median(c[stage]["peak_gpu_mib"] for c in runs)
    trained = [counts["train"] for counts in runs]
    if trained[0].get("padded"):
        told["padding_share"] = 1 - trained[0]["tokens"] / trained[0]["padded"]
    if trained[0].get("tokens"):
        told["tokens_per_second"] = median(t["tokens"] / t["seconds"] for t in trained)
    if "inside" in trained[0]:
        told["outside_share"] = median(1 - t["inside"] / t["seconds"] for t in trained)
    if "scoring" in runs[0].get("validate", {}):
        told["scoring_seconds"] = median(counts["validate"]["scoring"] for counts in runs)
    for name in SCORES:
        if name in runs[0].get("validate", {}):
            told[name] = median(counts["validate"][name] for counts in runs)
    return told
