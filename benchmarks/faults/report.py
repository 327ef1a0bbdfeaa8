"""The table of the campaign, on the console and in files."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from rich.table import Table

from benchmarks.faults.groups import GROUPS
from benchmarks.faults.stage import KINDS, Outcome
from benchmarks.record import RESULTS, circumstances

ROOT = Path(__file__).parents[2]

INTRODUCTION = """\
# What faults do

By `python -m benchmarks.faults`: lit_hf, and beside it the same faults in a script of plain
Lightning ([plain.py](../faults/plain.py)). "-": the fault is not shown there, or was not run yet
(groups may be run one by one). Silent: nothing was said, or not what was to be said, or a damaged
file was left under its final name. Inexact: other rows, losses or weights than a training that was
not stopped, or no way to go on. What was seen in each case stands in [faults.json](faults.json).
Seconds are those of a machine with other work.
"""
HEADS = ("silent", "inexact", "hangs", "wrong code")


class Shown(NamedTuple):
    """What came of a group in a program."""

    number: int
    program: str
    outcomes: list[Outcome]
    seconds: float


def counts(outcomes: Sequence[Outcome]) -> list[int]:
    """How many outcomes have each kind of fault."""
    found = Counter(kind for outcome in outcomes for kind in outcome.faults)
    return [found[kind] for kind in KINDS]


def rows(numbers: Iterable[int], shown: Sequence[Shown]) -> list[list[str]]:
    """The cells of the table, a row a group."""
    by_job = {(one.number, one.program): one for one in shown}
    found = []
    for number in numbers:
        group = GROUPS[number]
        own, plain = (by_job.get((number, program)) for program in ("lit_hf", "plain"))
        cells = [str(number), group.name, *_cells(own), *_cells(plain)]
        where = ", ".join(group.tests)
        found.append([*cells, "; ".join(part for part in (group.why, where) if part)])
    return found


def _cells(one: Shown | None) -> list[str]:
    if one is None or not one.outcomes:
        return ["-"] * 6
    return [str(len(one.outcomes)), *map(str, counts(one.outcomes)), f"{one.seconds:.0f}"]


def table(numbers: Iterable[int], shown: Sequence[Shown]) -> Table:
    """The table for the console, without the names of tests."""
    found = Table("", "fault", "cases", *HEADS, "s", "plain", *HEADS, "s")
    for *cells, _ in rows(numbers, shown):
        found.add_row(*cells)
    return found


def kept() -> list[Shown]:
    """What an earlier campaign has written."""
    if not (path := RESULTS / "faults.json").exists():
        return []
    groups = json.loads(path.read_text(encoding="utf-8"))["groups"]
    return [
        Shown(
            group["group"],
            program,
            [
                Outcome(one["case"], tuple(one["faults"]), one["seen"])
                for one in group[program]["seen"]
            ],
            group[program]["seconds"],
        )
        for group in groups
        for program in ("lit_hf", "plain")
        if program in group
    ]


def write(shown: Sequence[Shown]) -> None:
    """Write `faults.json` and `faults.md`; groups that were not shown stay as they were."""
    new = {(one.number, one.program): one for one in [*kept(), *shown]}
    shown = sorted(new.values(), key=lambda one: one[:2])
    by_number: dict[int, dict[str, object]] = {
        number: {"group": number, "name": group.name, "tests": group.tests, "why": group.why}
        for number, group in GROUPS.items()
    }
    for one in shown:
        by_number[one.number][one.program] = {
            "cases": len(one.outcomes),
            **dict(zip(HEADS, counts(one.outcomes), strict=True)),
            "seconds": round(one.seconds, 1),
            "seen": [
                {**outcome._asdict(), "seen": _anywhere(outcome.seen)} for outcome in one.outcomes
            ],
        }
    summary = {
        **circumstances(),
        "groups": list(by_number.values()),
    }
    text = json.dumps(summary, indent=1, ensure_ascii=False)
    (RESULTS / "faults.json").write_text(text + "\n", encoding="utf-8")
    (RESULTS / "faults.md").write_text(page(shown, summary), encoding="utf-8")


def _anywhere(text: str) -> str:
    """Without where this project, its packages and the runs lie on a machine."""
    return re.sub(r"(/[^\s\"']*/)?(faults-\w+|site-packages)/|" + re.escape(f"{ROOT}/"), "", text)


def page(shown: Sequence[Shown], summary: Mapping[str, object]) -> str:
    """The table in Markdown."""
    totals = {}
    for program in ("lit_hf", "plain"):
        outcomes = [o for one in shown if one.program == program for o in one.outcomes]
        told = ", ".join(f"{n} {head}" for n, head in zip(counts(outcomes), HEADS, strict=True))
        totals[program] = f"{len(outcomes)} cases: {told}"
    versions = cast("dict[str, str]", summary["versions"])
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    head = ("", "fault", "cases", *HEADS, "s", "plain", *HEADS, "s", "shown by tests, or why not")
    return "\n".join(
        [
            INTRODUCTION,
            f"lit_hf: {totals['lit_hf']}. Plain Lightning: {totals['plain']}.",
            f"{summary['date']}, {summary['machine']}, {told}.",
            "",
            f"| {' | '.join(head)} |",
            f"|{' --- |' * len(head)}",
            *(f"| {' | '.join(row)} |" for row in rows(GROUPS, shown)),
            "",
        ]
    )
