"""The results of a GPU as a page of Markdown, from their JSON.

python -m benchmarks.gpu.table benchmarks/results/gpu_NAME.json
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.arguments import existing_file, parser_of
from benchmarks.gpu.budget import Outcome
from benchmarks.gpu.speed import WORKERS
from benchmarks.speed.work import SCORES

NAMES = {"lit_hf": "lit_hf", "trainer_best": "HF Trainer"}
STATES = {
    "failed": "failed",
    "skipped": "no time",
    "absent": "not measured",
    "not reached": "not reached",
}
SPEEDS = (
    "| work, precision | | training, rows a second | tokens a second | memory | evaluation, rows a "
    "second | behind its batches | memory | scores |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)
KILLS = (
    "| killed and resumed | killed after step | resumed from | final weights |\n"
    "| --- | --- | --- | --- |"
)


def render(found: Mapping[str, Any]) -> str:
    """The page.

    Args:
        found: what `benchmarks.gpu` has written.
    """
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    parts: Mapping[str, Outcome] = found["parts"]
    kills = {name: part for name, part in parts.items() if name.startswith("kill:")}
    speeds = {name: part for name, part in parts.items() if name not in kills}
    lines = [
        f"# {found['title']}",
        "",
        f"{found['date']}, {found['machine']}; {versions}. {found['seconds']:.0f} s.",
        "",
        _about(found),
        "",
        SPEEDS,
        *(line for name, outcome in speeds.items() for line in _speed_lines(name, outcome)),
        "",
        KILLS,
        *(_kill_line(name.removeprefix("kill:"), outcome) for name, outcome in kills.items()),
        "",
    ]
    failures = {name: part["reason"] for name, part in parts.items() if part["state"] == "failed"}
    for name, reason in failures.items():
        lines += [f"What `{name}` said in the end:", "", *_quoted(reason), ""]
    return "\n".join(lines)


def _about(found: Mapping[str, Any]) -> str:
    return (
        "Medians of rounds in turn; in brackets how many times as fast lit_hf is, the median within"
        " a round. Rows are texts, windows, prompts or images, of tokens padding is not counted, "
        "memory is the most that tensors took on the GPU. HF Trainer has its best flags. An "
        "evaluation goes up to the scores; what comes behind its batches, scores and pictures, "
        f"weighs less with more rows. Weights at the start: {found['weights']}."
    )


def _speed_lines(name: str, outcome: Mapping[str, Any]) -> list[str]:
    if outcome["state"] != "done":
        return [f"| {name} | | {_state(outcome)} | | | | | | |"]
    lines = []
    for number, who in enumerate(WORKERS):
        told = outcome["who"][who]
        cells = [
            _speed(told, "train"),
            f"{told['tokens_per_second']:,.0f}" if "tokens_per_second" in told else "",
            _memory(told, "train"),
            _speed(told, "validate"),
            f"{told['scoring_seconds']:.2f} s",
            _memory(told, "validate"),
            ", ".join(f"{score} {told[score]:.4g}" for score in SCORES if score in told),
        ]
        first = "" if number else f"{name}, {_rows(outcome)}"
        lines.append(f"| {' | '.join([first, NAMES[who], *cells])} |")
    return lines


def _rows(outcome: Mapping[str, Any]) -> str:
    rows, num_rounds = outcome["rows"], len(outcome["rounds"])
    return f"{rows['train']} + {rows['val']} rows, {num_rounds} round{'s' * (num_rounds > 1)}"


def _speed(told: Mapping[str, Any], stage: str) -> str:
    speed, ratio = told[f"{stage}_rows_per_second"], told["ratio"][stage]
    return f"{speed:,.1f}" if ratio == 1 else f"{speed:,.1f} (x {ratio:.2f})"


def _memory(told: Mapping[str, Any], stage: str) -> str:
    peak = told.get(f"{stage}_peak_gpu_mib")
    return "no GPU" if peak is None else f"{peak:,.0f} MiB"


def _kill_line(name: str, outcome: Mapping[str, Any]) -> str:
    if outcome["state"] != "done":
        return f"| {name} | {_state(outcome)} | | |"
    gap, chance = outcome["largest_difference"], outcome.get("undisturbed_difference")
    weights = (
        "those of an undisturbed run, bit for bit"
        if chance is None
        else f"differ by {gap:.2g} at most, those of two undisturbed runs by {chance:.2g}"
    )
    steps = f"{outcome['killed_after']} of {outcome['steps']}"
    return f"| {name} | {steps} | {outcome['resumed_from']} | {weights} |"


def _state(outcome: Mapping[str, Any]) -> str:
    """State and reason in one line; of a failure the first line, which the page has whole below."""
    reason = str(outcome.get("reason", "")).splitlines()[:1]
    return ": ".join([STATES[outcome["state"]], *reason]).replace("|", r"\|")


def _quoted(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]


def progress(name: str, outcome: Outcome, left: float) -> str:
    """A line for a part that is over.

    Args:
        name: of the part.
        outcome: of it.
        left: seconds that are left for others.
    """
    words = [f"{name}: {outcome['state']}"]
    if "who" in outcome:
        ratios = outcome["who"]["trainer_best"]["ratio"]
        told = ", ".join(f"{stage} x {ratio:.2f}" for stage, ratio in ratios.items())
        words.append(f"lit_hf to HF Trainer: {told}")
    if "largest_difference" in outcome:
        words.append(f"weights differ by {outcome['largest_difference']:.2g}")
    words += str(outcome.get("reason", "")).splitlines()[:1]
    if "seconds" in outcome:
        words.append(f"{outcome['seconds']:.0f} s")
    return f"{'; '.join(words)}; {max(0.0, left):.0f} s left"


def main() -> None:
    """Print the page of a JSON file."""
    parser = parser_of("benchmarks.gpu.table", __doc__)
    parser.add_argument("results", type=existing_file, help="JSON that benchmarks.gpu has written")
    path: Path = parser.parse_args().results
    print(render(json.loads(path.read_text(encoding="utf-8"))), end="")


if __name__ == "__main__":
    main()
