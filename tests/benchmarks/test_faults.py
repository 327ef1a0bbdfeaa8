"""The campaign of faults: its comparison sees what it should, and two cases are shown."""

import re
from pathlib import Path

import pytest

from benchmarks.faults.__main__ import Run, Stage, difference
from benchmarks.faults.groups import cases

ROOT = Path(__file__).parents[2]


def _run(losses: str, end: str = "weights") -> Run:
    batches = {(0, place): (["t1"], loss) for place, loss in enumerate(losses) if loss != " "}
    return Run(0, "", batches, end)


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [
        ("ab", _run("  cd"), ""),
        ("abc", _run("  cd"), ""),  # a batch that is trained again in the same way
        ("ab", _run("  cd", "others"), "other weights"),
        ("ab", _run("  ce"), "batch 3"),
        ("a", _run("  cd"), "never trained"),
    ],
)
def test_difference__sees_other_batches_losses_and_weights(
    first: str, last: Run, found: str
) -> None:
    seen = difference(_run("abcd"), [_run(first, ""), last])
    assert found in seen
    assert bool(found) == bool(seen)


def test_results__hold_no_path_of_a_machine() -> None:
    for path in (ROOT / "benchmarks" / "results").iterdir():
        assert not re.search(r"/(root|home|work)/\w|/tmp/", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_signal_and_corrupt_checkpoint__come_as_promised(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    for number, case in enumerate(c for c in cases() if c.name in ("term@batch_end:3", "empty")):
        assert stage.show(case, number) == "", case.name
