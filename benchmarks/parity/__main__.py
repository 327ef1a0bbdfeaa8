"""Another commit beside this one: the same short runs of every recipe, and what differs.

Each recipe is trained for a few seeded steps on tiny models, validated, tested, predicted and
exported by the code of both commits on this machine; compared are exit codes, what is printed of
options, files of the run folder, scores, samples, answers and weights.

    python -m benchmarks.parity --base HEAD~1
    python -m benchmarks.parity --base v0.1 --only squad --keep /tmp/parity

Runs of the other commit that `--keep` has kept are taken as they are: it does not change.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

import yaml

from benchmarks.arguments import parser_of
from benchmarks.parity.cases import Case, all_cases
from benchmarks.parity.compare import Difference, compare_folders
from benchmarks.parity.inputs import write_inputs
from benchmarks.parity.record import COMMANDS

ROOT = Path(__file__).parents[2]
ON_PURPOSE = Path(__file__).with_name("on_purpose.yaml")
"""Patterns of places that differ on purpose, each with its reason."""


def main(words: Sequence[str] | None = None) -> int:
    """Run both, print the differences that are not on purpose; 1 if there are any."""
    parser = parser_of("benchmarks.parity", __doc__)
    parser.add_argument("--base", required=True, metavar="COMMIT", help="to compare this with")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name holds this")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep inputs and runs here")
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        home = given.keep or Path(scratch)
        inputs = home / "inputs"
        if not inputs.exists():
            write_inputs(inputs)
        cases = [case for case in all_cases(inputs) if given.only in case.name]
        forget_others(home / "before", _commit(given.base))
        with _checked_out(given.base, Path(scratch) / "base") as base:
            found = [one for case in cases for one in _differences(case, home, base)]
    return report(found, len(cases), ON_PURPOSE)


def _differences(case: Case, home: Path, base: Path) -> list[Difference]:
    """Run a case with both packages; one after the other, since cores are shared."""
    folders = []
    for side, tree in (("before", base), ("after", ROOT)):
        folder = home / side / case.name.replace("/", "_")
        if tree == ROOT or not is_run(folder, case):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / COMMANDS).write_text(json.dumps(case.commands), encoding="utf-8")
            _run(folder, tree)
        folders.append(folder)
    found = compare_folders(*folders)
    return [one._replace(place=f"{case.name}/{one.place}") for one in found]


def is_run(folder: Path, case: Case) -> bool:
    """Whether the commands of a case have been run to their end in a folder."""
    if not (folder / COMMANDS).exists():
        return False
    found = json.loads((folder / COMMANDS).read_text(encoding="utf-8"))
    return len(found) == 2 and found[0] == case.commands  # the exit codes are the second


def forget_others(folder: Path, commit: str) -> None:
    """Remove the runs of another commit, and note whose the next ones are."""
    note = folder / "commit.txt"
    if not note.exists() or note.read_text(encoding="utf-8") != commit:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        note.write_text(commit, encoding="utf-8")


def _commit(name: str) -> str:
    """The hash of a commit."""
    words = ["git", "-C", str(ROOT), "rev-parse", f"{name}^{{commit}}"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def _run(folder: Path, tree: Path) -> None:
    script = Path(__file__).with_name("record.py")
    paths = {
        "PYTHONPATH": str(tree),
        "HF_HUB_OFFLINE": "1",
        "LIT_HF_CACHE": str(folder.parent / "cache"),
    }
    subprocess.run(
        [sys.executable, "-P", str(script)], cwd=folder, env={**os.environ, **paths}, check=True
    )


@contextlib.contextmanager
def _checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """The files of a commit in a worktree of their own."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def report(found: Sequence[Difference], num_cases: int, on_purpose: Path) -> int:
    """Print differences, those on purpose by their count alone; 1 if there are others.

    Args:
        found: of all cases.
        num_cases: how many these are.
        on_purpose: YAML, patterns of places and why they differ.
    """
    wanted = yaml.safe_load(on_purpose.read_text(encoding="utf-8")) or {}
    reasons = [
        next((why for place, why in wanted.items() if fnmatch(one.place, place)), None)
        for one in found
    ]
    left = [one for one, why in zip(found, reasons, strict=True) if why is None]
    for one in left:
        print(one)
    for why, count in Counter(why for why in reasons if why is not None).items():
        print(f"on purpose, {count} times: {why}")
    print(f"{num_cases} cases: {len(left)} differences, {len(found) - len(left)} on purpose")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
