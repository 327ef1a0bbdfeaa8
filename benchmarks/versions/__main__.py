"""Try lit_hf with the lowest and with the newest releases that pyproject.toml admits.

    python -m benchmarks.versions --resolution lowest --python 3.11
    python -m benchmarks.versions --resolution newest --python 3.13
    python -m benchmarks.versions --resolution tested --extras mlflow wandb

Run it before every release. uv (`pip install uv`) resolves the packages: `lowest` takes the lower
bounds of pyproject.toml themselves, `newest` the newest releases, `tested` those of
constraints.txt. They are installed into a fresh environment, which is deleted in the end. There
each of the four tasks is fitted, validated, predicted with, exported and asked from Python, on tiny
random models and rows that are made on the spot: only the installation needs a network.

torch comes from uv as well, in a CUDA build on Linux; `--torch 2.13.0` has pip install that release
first, from wherever pip is set up to look, and takes only the rest from uv.

Prints a table and writes a JSON file with all versions, the date and the machine. The exit code is
1 if something failed.
"""

import json
import platform
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.arguments import parser_of
from benchmarks.record import RESULTS
from benchmarks.versions.packages import (
    RESOLUTIONS,
    ROOT,
    StepError,
    Wanted,
    install,
    installed,
    python_version,
    resolve,
    run_step,
)
from benchmarks.versions.tasks import LOGGERS, TASKS, VERBS, Outcome, run_task

Found = dict[str, object]
SYSTEM = "import platform; print(platform.platform())"


def parsed(args: Sequence[str] | None) -> Namespace:
    """The options of the command line."""
    parser = parser_of("benchmarks.versions", __doc__)
    parser.add_argument("--resolution", choices=RESOLUTIONS, required=True, help="which releases")
    parser.add_argument(
        "--python",
        default=".".join(platform.python_version_tuple()[:2]),
        help="version, or path of an interpreter (%(default)s)",
    )
    parser.add_argument("--torch", default="", metavar="VERSION", help="installed by pip first")
    parser.add_argument("--extras", nargs="+", default=[], metavar="EXTRA", help="of lit_hf too")
    parser.add_argument(
        "--pin", nargs="+", default=[], metavar="NAME==VERSION", help="to try one bound"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="by default in benchmarks/results")
    return parser.parse_args(args)


def result_path(wanted: Wanted) -> Path:
    """Where the committed figures of a set of packages are."""
    short = "".join(python_version(wanted.python).split(".")[:2])
    parts = ["versions", wanted.resolution, f"py{short}", *sorted(wanted.extras)]
    return RESULTS / f"{'_'.join(parts)}.json"


def table_of(outcomes: Mapping[str, Outcome]) -> Table:
    """Seconds of each verb of each task."""
    table = Table("task", *VERBS)
    for task, outcome in outcomes.items():
        shown = [f"{outcome.seconds[v]} s" if v in outcome.seconds else "-" for v in VERBS]
        table.add_row(task, *shown)
    return table


def make_inputs(python: Path, folder: Path) -> str:
    """Write tiny models and rows with the libraries of the environment: the processor's name."""
    folder.mkdir()
    words = [str(python), "-m", "benchmarks.inputs", str(folder)]
    return run_step(words, PYTHONPATH=str(ROOT)).strip().splitlines()[-1]


def try_all(wanted: Wanted, folder: Path, console: Console) -> Found:
    """Resolve, install and run: what was found."""
    console.print(f"{wanted.resolution} releases for Python {wanted.python}: resolving")
    requirements = resolve(wanted)
    console.print(f"installing {len(requirements)} packages")
    python = install(wanted, requirements, folder / "environment")
    inputs = folder / "inputs"
    machine = make_inputs(python, inputs)
    outcomes: dict[str, Outcome] = {}
    for task in TASKS:
        console.print(f"running {task}")
        loggers = [name for name in LOGGERS if name in wanted.extras]
        outcomes[task] = run_task(task, inputs, python, loggers)
        console.print(outcomes[task].said, markup=False, end="")
    console.print(table_of(outcomes))
    return {
        "machine": machine,
        "system": run_step([str(python), "-c", SYSTEM]).strip(),
        "python": python_version(str(python)),
        "is_done": all(outcome.is_done for outcome in outcomes.values()),
        "tasks": {
            task: {"seconds": outcome.seconds, "said": outcome.said}
            for task, outcome in outcomes.items()
        },
        "deprecations": sorted({line for o in outcomes.values() for line in o.deprecations}),
        "versions": installed(python),
    }


def main(args: Sequence[str] | None = None) -> int:
    """Try one set of packages, print and write.

    Args:
        args: of the command line; those of this process unless given.

    Returns:
        The exit code: 1 if something failed.
    """
    options = parsed(args)
    wanted = Wanted(options.resolution, options.python, options.torch, options.extras, options.pin)
    console = Console(width=100)
    about: Found = {
        "date": date.today().isoformat(),
        "resolution": wanted.resolution,
        "torch_by_pip": wanted.torch,
        "extras": wanted.extras,
        "pins": wanted.pins,
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        try:
            found = {**about, **try_all(wanted, Path(name), console)}
        except StepError as error:
            found = {**about, "is_done": False, "failed": str(error)}
            console.print(str(error), markup=False)
    path = options.out or result_path(wanted)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    console.print(f"wrote {path}")
    return 0 if found["is_done"] else 1


if __name__ == "__main__":
    sys.exit(main())
