"""Group D: two processes on the CPU (gloo)."""

import json
import re
import shutil
import sys
from pathlib import Path

from benchmarks.faults.inputs import write_rows
from benchmarks.faults.resume import Outcomes, judged
from benchmarks.faults.stage import Outcome, Stage, Training
from benchmarks.faults.told import refused, told

TWO = Training(devices=2)
LONGEST = 90  # seconds; one process alone would wait for minutes


def _validated(stage: Stage, number: int, devices: int) -> tuple[int | None, object]:
    """The scores of so many rows on so many processes."""
    rows = stage.home / f"rows-{number}.csv"
    write_rows(rows, number)
    stage.whole()
    folder = stage.whole_folder()
    if stage.is_plain:
        words = [*stage.command(stage.home / "none", Training(devices=devices))]
        words = ["validate" if word == "fit" else word for word in words]
        run = stage.run([*words, "--val_file", str(rows)], longest=LONGEST)
        found = re.findall(r"val_(?:accuracy|loss)\D+(\d+\.\d+)", run.said)
        return run.code, [round(float(number), 4) for number in found]
    own = stage.home / f"validated-{number}-{devices}"  # groups run beside each other
    shutil.copytree(folder, own)
    words = [sys.executable, "-m", "lit_hf", "validate", "--run", str(own)]
    words += ["--import", "benchmarks.faults.witness", "--data.val_file", str(rows)]
    strategy = ["--trainer.strategy", "ddp"] if devices > 1 else []
    run = stage.run([*words, "--trainer.devices", str(devices), *strategy], longest=LONGEST)
    scores = json.loads((own / "results.json").read_text())["validate"]
    return run.code, {k: round(v, 4) for k, v in scores.items() if isinstance(v, int | float)}


def _same_scores(stage: Stage, number: int) -> Outcome:
    (code, one), (code_of_two, two) = (_validated(stage, number, devices) for devices in (1, 2))
    case = f"{number} rows"
    if None in (code, code_of_two):
        return Outcome(case, ("hang",))
    if (code, code_of_two) != (0, 0):
        return Outcome(case, ("wrong code",), f"{code} and {code_of_two}")
    return Outcome(case, () if one == two else ("silent",), f"{one}, {two}" * (one != two))


def scores(stage: Stage) -> Outcomes:
    """Group 46: the scores of two processes are those of one."""
    for number in (5, 101):
        yield _same_scores(stage, number)


def fewer_rows(stage: Stage) -> Outcomes:
    """Group 47: fewer rows than processes."""
    yield _same_scores(stage, 1)


def predicted(stage: Stage) -> Outcomes:
    """Group 48: every row once, in order."""
    stage.whole()
    write_rows(rows := stage.home / "48.csv", 7)
    folder = stage.whole_folder()
    words = [sys.executable, "-m", "lit_hf", "predict", "--run", str(folder)]
    words += ["--import", "benchmarks.faults.witness", "--data.predict_file", str(rows)]
    run = stage.run([*words, "--trainer.devices", "2", "--trainer.strategy", "ddp"])
    outcome = told("7 rows", run, 0)
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    if [json.loads(line)["id"] for line in lines] != [f"t{n}" for n in range(7)]:
        outcome = Outcome("7 rows", ("silent",), f"{len(lines)} lines in another order")
    yield outcome


def signalled(stage: Stage) -> Outcomes:
    """Group 49: SIGTERM to the launcher (which is process 0), to process 1, to both."""
    whole = stage.whole(TWO)
    cases = {
        "to the launcher": "term@batch_end:2",
        "to process 1": "term@batch_end:2@rank1",
        "to both": "term@batch_end:2,term@batch_end:2@rank1",
    }
    for number, (case, faults) in enumerate(cases.items()):
        folder = stage.home / f"49-{number}"
        first = stage.run(stage.command(folder, TWO), faults, LONGEST)
        if first.code is None:
            yield Outcome(case, ("hang",), f"{LONGEST} s")
            continue
        yield judged(case, whole, [first, stage.fit(folder, "", TWO)], 143)


def killed(stage: Stage) -> Outcomes:
    """Group 50: the other process ends too and says why, and the same command goes on."""
    whole = stage.whole(TWO)
    for rank in (0, 1):
        folder = stage.home / f"50-{rank}"
        first = stage.run(stage.command(folder, TWO), f"kill1@batch:4@rank{rank}", LONGEST)
        words = ("process 1 was ended by SIGKILL",) if rank and not stage.is_plain else ()
        outcome = told(f"kill -9 of process {rank}", first, None, words)
        if outcome.faults:
            yield outcome
            continue
        again = judged(outcome.case, whole, [first, stage.fit(folder, "", TWO)])
        yield again


def mistaken(stage: Stage) -> Outcomes:
    """Group 51: an exception on one process: its traceback, and the end of the other."""
    for rank in (0, 1):
        folder = stage.home / f"51-{rank}"
        run = stage.run(stage.command(folder, TWO), f"raise@batch:3@rank{rank}", LONGEST)
        outcome = told(f"an exception on process {rank}", run, None, ("a mistake in the code",))
        if not outcome.faults and run.seconds > stage.whole(TWO).seconds + 10:
            outcome = Outcome(outcome.case, ("hang",), f"{run.seconds:.0f} s")
        yield outcome


def uneven(stage: Stage) -> Outcomes:
    """Group 52: 41 training rows on two processes; each is trained, and only copies twice."""
    write_rows(rows := stage.home / "52.csv", 45)
    words = [
        str(rows) if word.endswith("rows.csv") else word
        for word in stage.command(stage.home / "52", TWO)
    ]
    run = stage.run(words)
    outcome = told("41 rows", run, 0)
    epoch = [ids for part in run.batches for (e, _), (ids, _) in part.items() if e == 0]
    trained = {name for ids in epoch for name in ids}
    if not outcome.faults and len(trained) not in (40, 41):
        outcome = Outcome(outcome.case, ("silent",), f"{len(trained)} rows in an epoch")
    yield outcome


def one_process_less(stage: Stage) -> Outcomes:
    """Group 54: begun on two processes, gone on with on one."""
    folder, _ = stage.killed("54", 4, TWO)
    words = stage.command(Path(folder), Training())
    yield refused(stage, "from 2 to 1", words, ["number of processes was 2, is 1"])


FAULTS = {
    46: scores,
    47: fewer_rows,
    48: predicted,
    49: signalled,
    50: killed,
    51: mistaken,
    52: uneven,
    54: one_process_less,
}
PLAIN = (46, 47, 49, 50, 51, 52, 54)
