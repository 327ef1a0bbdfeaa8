"""Harm trainings as users' machines do, and see what comes of it.

    python -m benchmarks.faults
    python -m benchmarks.faults --groups 6,7,24

Trainings of a tiny random model run as processes of their own, with real signals and real files.
After each fault the same command runs again: rows and loss of every batch, and the weights of the
end, are compared with those of a training that nothing has stopped. Prints a table and writes
`benchmarks/results/faults.json`. Exit code 1 where something else came than what was promised.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.faults.groups import Case, cases
from benchmarks.record import record
from tests.tiny_models import write_bert

LONGEST = 200  # seconds after which a command counts as hung
WORDS = (
    *(sys.executable, "-m", "lit_hf", "fit", "--import", "benchmarks.faults.witness"),
    *("--model", "TextClassifier", "--data", "TextClassificationDataModule"),
    *("--model.model_name", "HOME/bert", "--data.train_file", "HOME/rows.csv"),
    *("--data.id_column", "id", "--data.batch_size", "4", "--data.val_fraction", "0.1"),
    *("--checkpoint.monitor", "val/loss", "--trainer.default_root_dir", "RUN"),
    *("--trainer.max_epochs", "2", "--trainer.accelerator", "cpu", "--trainer.logger", "false"),
    *("--trainer.val_check_interval", "5", "--trainer.enable_progress_bar", "false"),
    *("--samples.num_samples", "0", "--model.optimizer.lr", "1e-3"),
    *("--trainer.callbacks+", "benchmarks.faults.witness.Witness"),
)
Batches = dict[tuple[int, int], tuple[list[str], str]]


class Run(NamedTuple):
    """What a command did.

    Attributes:
        code: its exit code; None if it hung.
        text: what it printed.
        batches: ids and loss of the first process, by epoch and batch.
        end: digest of the weights after the training; "" if it did not get there.
    """

    code: int | None
    text: str
    batches: Batches
    end: str


class Stage:
    """A folder with a model and rows, in which commands run.

    Args:
        home: an empty folder.
    """

    def __init__(self, home: Path) -> None:
        self.home, self.num_runs = home, 0
        self._undisturbed: dict[tuple[str, ...], Run] = {}
        (home / "bert").mkdir()
        write_bert(home / "bert")
        words = ["fire in town", "flood at the mill", "my new song about", "smoke over hill"]
        rows = [f"t{n},{words[n % 4] * (1 + n % 3)} {n},{n % 2}\n" for n in range(44)]
        for name, part in (("rows", rows), ("fewer", rows[:-4])):
            (home / f"{name}.csv").write_text("id,text,label\n" + "".join(part))

    def run(self, folder: Path, settings: Sequence[str], stop: str = "") -> Run:
        """Run the command in a folder to its end.

        Args:
            folder: of the run.
            settings: further options.
            stop: for its `Witness`.
        """
        self.num_runs += 1
        seen = self.home / "seen" / str(self.num_runs)
        seen.mkdir(parents=True)
        words = [word.replace("RUN", str(folder)) for word in (*WORDS, *settings)]
        words = [word.replace("HOME", str(self.home)) for word in words]
        variables = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("LIT_HF", "PL_"))},
            **{"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
            **{"HF_HUB_OFFLINE": "1", "LIT_HF_CACHE": str(self.home / "cache")},
            **{"FAULTS": stop, "WITNESS": str(seen), "COLUMNS": "200"},
        }
        with (seen / "text").open("wb") as text:
            process = subprocess.Popen(
                words, stdout=text, stderr=text, env=variables, start_new_session=True
            )
            with suppress(subprocess.TimeoutExpired):
                process.wait(LONGEST)
            code = process.poll()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return _read(seen, code)

    def undisturbed(self, settings: tuple[str, ...]) -> Run:
        """The training that nothing stops; run once for the same settings."""
        if settings not in self._undisturbed:
            folder = self.home / f"undisturbed-{len(self._undisturbed)}"
            self._undisturbed[settings] = run = self.run(folder, settings)
            if run.code != 0:
                sys.exit(f"the run without a fault failed: {run.text[-2000:]}")
        return self._undisturbed[settings]

    def show(self, case: Case, number: int) -> str:
        """Harm a training and run it again; what came otherwise than promised, "" if nothing."""
        folder, text = self.home / str(number), ""
        parts = [self.run(folder, case.settings, stop) for stop in case.stops]
        for part in parts:
            if part.code is None:
                return f"it hung: {part.text[-300:]}"
            if case.code is not None and part.code != case.code:
                return f"exit code {part.code}, expected {case.code}: {part.text[-300:]}"
            text = " ".join(part.text.split())
        missing = [word for word in case.says if (word.lstrip("-") in text) == (word[0] == "-")]
        if missing:
            return f"about {missing}: {text[-300:]}"
        if case.harm is not None:
            case.harm(folder)
        last = self.run(folder, (*case.settings, *case.changed))
        if case.refusal:
            is_refused = last.code == 2 and case.refusal in last.text
            is_one_message = "Traceback" not in last.text
            return "" if is_refused and is_one_message else f"{last.code}: {last.text[-300:]}"
        if last.code != 0:
            return f"the command again gave {last.code}: {last.text[-300:]}"
        return difference(self.undisturbed(case.settings), [*parts, last]) * case.is_exact


def _read(seen: Path, code: int | None) -> Run:
    batches: Batches = {}
    end = ""
    path = seen / "0.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        found = json.loads(line)
        if "place" in found:
            batches[found["place"][0], found["place"][1]] = (found["ids"], found["loss"])
        end = found.get("end", end)
    return Run(code, (seen / "text").read_text(errors="replace"), batches, end)


def difference(undisturbed: Run, parts: Sequence[Run]) -> str:
    """What the parts of a training did otherwise than the one that nothing stopped; "" if nothing.

    Args:
        undisturbed: the training to compare with.
        parts: the runs, the last of them to the end.
    """
    for part in parts:
        for place, batch in part.batches.items():
            if batch != undisturbed.batches.get(place):
                return f"other rows or loss in epoch {place[0]}, batch {place[1]}"
    trained = {place for part in parts for place in part.batches}
    if missing := undisturbed.batches.keys() - trained:
        return f"{len(missing)} batches were never trained"
    return "" if parts[-1].end == undisturbed.end else "other weights"


def main() -> None:
    """Show all groups and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--groups", default="", help="numbers of groups, such as 6,7,24; else all")
    options = parser.parse_args()
    numbers = {int(number) for number in options.groups.split(",") if number}
    chosen = [case for case in cases() if not numbers or case.group in numbers]
    table = Table("group", "fault", "came as promised")
    found = []
    with tempfile.TemporaryDirectory() as home:
        stage = Stage(Path(home))
        for number, case in enumerate(track(chosen, "faults", console=Console(stderr=True))):
            fault = stage.show(case, number)
            table.add_row(str(case.group), case.name, fault or "yes", style="red" if fault else "")
            found.append({"group": case.group, "fault": case.name, "came": fault or "as promised"})
    Console(width=150).print(table)
    num_wrong = sum(row["came"] != "as promised" for row in found)
    if not numbers:
        record("faults", {"cases": len(found), "wrong": num_wrong, "faults": found})
    sys.exit(1 if num_wrong else 0)


if __name__ == "__main__":
    main()
