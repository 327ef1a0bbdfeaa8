"""The campaign of faults: its list is whole, its oracle sees what it should, a few are shown."""

import re
from pathlib import Path

import pytest

from benchmarks.faults.__main__ import FAULTS, PLAIN, main, numbers_of
from benchmarks.faults.checkpoints import DAMAGES
from benchmarks.faults.groups import GROUPS
from benchmarks.faults.report import Shown, _anywhere, page, rows
from benchmarks.faults.resume import judged, stopped
from benchmarks.faults.stage import Outcome, Run, Stage
from benchmarks.faults.told import refused, told

ROOT = Path(__file__).parents[2]


def test_groups__are_85_and_each_is_shown_tested_or_explained() -> None:
    assert sorted(GROUPS) == list(range(1, 86))
    assert FAULTS.keys() <= GROUPS.keys()
    assert {number for number in FAULTS if number <= 54} >= PLAIN
    for number, group in GROUPS.items():
        assert number in FAULTS or group.tests or group.why, number
        for name in group.tests:
            path, _, function = name.partition("::")
            source = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {function}\(", source, re.MULTILINE), name


def test_numbers__of_the_command_line() -> None:
    assert numbers_of("6,24-26") == [6, 24, 25, 26]
    with pytest.raises(SystemExit):
        main(["--help"])


def _run(losses: str, end: str | None = "weights", code: int | None = 0) -> Run:
    ids: tuple[str, ...] = ("t1",)
    batches = {(0, place): (ids, loss) for place, loss in enumerate(losses) if loss != " "}
    return Run(code, "said", 1.0, [batches], end)


@pytest.mark.parametrize(
    ("first", "last", "faults"),
    [
        (_run("ab", None, 143), _run("  cd"), ()),
        (_run("abc", None, 143), _run("  cd"), ()),  # a batch trained again, the same way
        (_run("ab", None, 143), _run("  cd", "others"), ("inexact",)),
        (_run("ab", None, 143), _run("  ce"), ("inexact",)),
        (_run("a", None, 143), _run("  cd"), ("inexact",)),
        (_run("ab", None, 0), _run("  cd"), ("wrong code",)),
        (_run("ab", None, 143), _run("  cd", code=1), ("inexact",)),
        (_run("ab", None, None), _run("  cd"), ("hang",)),
    ],
)
def test_oracle__sees_other_batches_losses_and_weights(
    first: Run, last: Run, faults: tuple[str, ...]
) -> None:
    assert judged("a case", _run("abcd"), [first, last], 143).faults == faults


@pytest.mark.parametrize(
    ("code", "said", "faults"),
    [
        (2, "file.csv: 2 rows", ()),
        (0, "file.csv: 2 rows", ("silent",)),
        (1, "file.csv: 2 rows", ("wrong code",)),
        (2, "something", ("silent",)),
        (2, "Traceback of file.csv", ("silent",)),
        (None, "", ("hang",)),
    ],
)
def test_words__that_were_not_said_are_silence(
    code: int | None, said: str, faults: tuple[str, ...]
) -> None:
    run = Run(code, said, 1.0, [], None)
    assert told("a case", run, 2, ("file.csv", "-Traceback")).faults == faults


def test_results__hold_no_path_of_a_machine() -> None:
    text = (
        f'File "/a/b/site-packages/torch/x.py", line 1; /tmp/faults-ab1/run/last.ckpt; {ROOT}/tests'
    )
    assert _anywhere(text) == 'File "torch/x.py", line 1; run/last.ckpt; tests'
    for path in (ROOT / "benchmarks" / "results").iterdir():
        assert not re.search(r"/(root|home|work)/\w|/tmp/", path.read_text(encoding="utf-8")), path


def test_table__has_every_group_and_both_programs() -> None:
    shown = [
        Shown(6, "lit_hf", [Outcome("term"), Outcome("term again", ("hang", "silent"))], 12.0),
        Shown(6, "plain", [Outcome("term", ("wrong code",))], 3.0),
    ]
    row = rows([6], shown)[0]
    assert row[2:14] == ["2", "1", "0", "1", "0", "12", "1", "0", "0", "0", "1", "3"]
    summary = {"date": "a day", "machine": "one", "versions": {"torch": "2"}}
    text = page(shown, summary)
    assert len(re.findall(r"^\| \d+ \|", text, re.MULTILINE)) == 85
    assert "lit_hf: 2 cases: 1 silent, 0 inexact, 1 hangs, 0 wrong code." in text


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("faults") / "home", "lit_hf", 1)


@pytest.mark.slow
def test_signal__in_the_command_is_exact(stage: Stage) -> None:
    """Group 6, once: three runs of the command."""
    outcome = stopped(stage, "6", ["term@batch_end:7"], code=143)
    assert outcome.faults == (), outcome.seen
    # The same folder, with a checkpoint that is cut off: groups 29 and 33.
    last = stage.home / "6" / "checkpoints" / "last.ckpt"
    DAMAGES["cut in half"](last)
    words = [*stage.command(stage.home / "6"), "--ckpt_path", str(last)]
    outcome = refused(stage, "damaged", words, ["last.ckpt: damaged"])
    assert outcome.faults == (), outcome.seen
