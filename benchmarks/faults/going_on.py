"""Groups 12 to 22: workers, memory, and a training that goes on as another one."""

import hashlib
from pathlib import Path

from benchmarks.faults.resume import Outcomes, judged
from benchmarks.faults.stage import Outcome, Stage, Training
from benchmarks.faults.told import refused, told


def bad_row(stage: Stage) -> Outcomes:
    """Group 12: a row that cannot be read, found in a worker or before there is one."""
    rows = stage.home / "12.csv"
    rows.write_text((stage.inputs / "rows.csv").read_text().replace(" 17,1", " 17,one"))
    words = stage.command(stage.home / "12", Training(workers=2))
    words = [str(rows) if word.endswith("rows.csv") else word for word in words]
    yield refused(stage, "a label that is none", words, ["one"])


def lost_worker(stage: Stage) -> Outcomes:
    """Group 13."""
    training = Training(workers=2)
    whole, folder = stage.whole(training), stage.home / "13"
    first = stage.fit(folder, "lose_worker@batch:7", training)
    said = () if stage.is_plain else ("data.num_workers", "-Traceback")
    outcome = told("kill -9 of a worker", first, 1, said)
    if first.seconds > whole.seconds + 15:
        outcome = Outcome(outcome.case, ("hang",), f"{first.seconds:.0f} s")
    yield outcome
    yield judged("going on", whole, [first, stage.fit(folder, "", training)])


def hanging_worker(stage: Stage) -> Outcomes:
    """Group 14: a worker that sleeps for an hour; the time to wait is cut to seconds."""
    words = stage.command(stage.home / "14", Training(workers=1))
    run = stage.run(words, "hang_worker@batch:3", 45, {"WORKER_TIMEOUT": "6"})
    yield told("a worker that hangs", run, 1, () if stage.is_plain else ("worker", "6 seconds"))


def no_memory(stage: Stage) -> Outcomes:
    """Group 15: advice where memory is short, and none where it is not."""
    run = stage.fit(stage.home / "15-memory", "memory@batch:3")
    yield told("MemoryError", run, 1, ("out of memory", "data.batch_size", "-Traceback"))
    run = stage.fit(stage.home / "15-cuda", "cuda@batch:3")
    yield told("another CUDA error", run, 1, ("illegal memory access", "-out of memory"))


def changed(stage: Stage) -> Outcomes:
    """Group 17: another training is refused, with what has changed."""
    trainings = {
        "data.batch_size": Training(batch_size=8),
        "seed": Training(seed=1),
        "number of training rows": Training(),
    }
    for name, training in trainings.items():
        words = stage.command(stage.killed(f"17-{name}")[0], training)
        if "rows" in name:
            rows = stage.home / "17.csv"
            lines = (stage.inputs / "rows.csv").read_text().splitlines()
            rows.write_text("\n".join([*lines[:-4], ""]))
            words = [str(rows) if word.endswith("rows.csv") else word for word in words]
        yield refused(stage, f"another {name}", words, [name, "was"])
    if not stage.is_plain:
        run = stage.fit(
            stage.killed("17-allowed")[0], "", Training(batch_size=8), "--allow-changed"
        )
        yield told("--allow-changed", run, 0, ("data.batch_size was 4, is 8",))


def other_workers(stage: Stage) -> Outcomes:
    """Group 18."""
    folder, first = stage.killed("18")
    parts = [first, stage.fit(folder, "", Training(workers=2))]
    yield judged("0 workers, then 2", stage.whole(), parts)


def finished(stage: Stage) -> Outcomes:
    """Group 19: the same command after the end."""
    stage.whole()
    folder = stage.whole_folder()
    before = _digests(folder)
    run = stage.fit(folder)
    said = () if stage.is_plain else ("already finished",)
    outcome = told("the same command again", run, 0, said)
    if _digests(folder) != before:
        outcome = Outcome(outcome.case, (*outcome.faults, "silent"), "files have changed")
    yield outcome


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def fresh(stage: Stage) -> Outcomes:
    """Group 20: nothing to go on from."""
    yield told("an empty folder", stage.whole(), 0, ("o checkpoint",))


def extended(stage: Stage) -> Outcomes:
    """Group 21: more epochs."""
    folder = stage.killed("21", 18)[0]
    run = stage.fit(folder, "", Training(epochs=3))
    yield told("3 epochs in place of 2", run, 0, ("learning rate",))


FAULTS = {
    12: bad_row,
    13: lost_worker,
    14: hanging_worker,
    15: no_memory,
    17: changed,
    18: other_workers,
    19: finished,
    20: fresh,
    21: extended,
}
PLAIN = (12, 13, 14, 17, 18, 19, 20, 21)
