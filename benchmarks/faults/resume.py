"""Group A: trainings that are stopped, and started again by the same command.

The oracle is a training that nothing stopped: the ids and the loss of every batch, and the digest
of the final weights.
"""

import random
from collections.abc import Iterator, Sequence

from benchmarks.faults.stage import Outcome, Run, Stage, Training

Outcomes = Iterator[Outcome]
NUM_BATCHES = 20  # of the ordinary training, ten an epoch


def difference(whole: Run, parts: Sequence[Run]) -> str:
    """What the parts of a training did that the whole one did not; "" if nothing."""
    for part in parts:
        for own, wanted in zip(part.batches, whole.batches, strict=False):
            for place, (ids, loss) in own.items():
                if place not in wanted:
                    return f"a batch too many, {place}"
                if ids != wanted[place][0]:
                    return f"other rows in epoch {place[0]} batch {place[1]}"
                if loss != wanted[place][1]:
                    return f"another loss in epoch {place[0]} batch {place[1]}"
    trained = {place for part in parts for batches in part.batches[:1] for place in batches}
    if missing := whole.batches[0].keys() - trained:
        return f"{len(missing)} batches were never trained"
    return "" if parts[-1].end == whole.end else "other weights"


def judged(
    case: str, whole: Run, parts: Sequence[Run], code: int | None = None, seconds: float = 0
) -> Outcome:
    """The outcome of stops and a last run that ends.

    Args:
        case: what was done.
        whole: the training that nothing stopped.
        parts: the runs, the last of them to the end.
        code: that each stopped one should have; any, if None.
        seconds: that a stopped one may take; any number, if 0.
    """
    *stopped, last = parts
    if any(part.code is None for part in parts):
        return Outcome(case, ("hang",), parts[-1].said[-300:])
    faults, seen = [], []
    wrong = [part.code for part in stopped if code is not None and part.code != code]
    if wrong:
        faults.append("wrong code")
        seen.append(f"exit code {wrong[0]}, wanted {code}")
    if last.code != 0:
        faults.append("inexact")
        seen.append(f"going on gave {last.code}: {last.said[-300:]}")
    elif found := difference(whole, parts):
        faults.append("inexact")
        seen.append(found)
    return Outcome(case, tuple(dict.fromkeys(faults)), "; ".join(seen))


def stopped(
    stage: Stage,
    name: str,
    faults: Sequence[str],
    training: Training | None = None,
    code: int | None = None,
) -> Outcome:
    """Stop a training as often as there are faults, and let it end."""
    whole = stage.whole(training)
    folder = stage.home / name
    parts = [stage.fit(folder, fault, training) for fault in [*faults, ""]]
    return judged(f"{', '.join(faults)} {_told(training)}".strip(), whole, parts, code)


def _told(training: Training | None) -> str:
    plain = Training()._asdict()
    given = (training or Training())._asdict().items()
    return ", ".join(f"{name} {value}" for name, value in given if value != plain[name])


def killed_at_random(stage: Stage) -> Outcomes:
    """Group 1."""
    draw = random.Random(1)
    for number in range(stage.moments):
        training = Training(workers=2 * (number % 2))
        batch = draw.randrange(6, NUM_BATCHES)
        yield stopped(stage, f"1-{number}", [f"kill@batch:{batch}"], training)


def killed_with_workers(stage: Stage) -> Outcomes:
    """Group 2."""
    for batch in (12, 17):
        yield stopped(stage, f"2-{batch}", [f"kill@batch:{batch}"], Training(workers=2))


def killed_in_validation(stage: Stage) -> Outcomes:
    """Group 3: weights, and the scores that the run writes."""
    for number in (1, 2):
        outcome = stopped(stage, f"3-{number}", [f"kill@val:{number}"])
        scores = [
            path / "results.json" for path in (stage.whole_folder(), stage.home / f"3-{number}")
        ]
        if not stage.is_plain and scores[0].exists():
            texts = [path.read_text() for path in scores]
            if texts[0] != texts[1]:
                outcome = Outcome(outcome.case, ("inexact",), "other validation scores")
        yield outcome


def killed_at_edges(stage: Stage) -> Outcomes:
    """Group 4: before the first checkpoint, at the end of an epoch, and just behind it."""
    for number, moment in enumerate(("batch:2", "epoch_end:0", "epoch:1")):
        yield stopped(stage, f"4-{number}", [f"kill@{moment}"])


def killed_often(stage: Stage) -> Outcomes:
    """Group 5: twice and three times in one epoch; batches are counted by each process."""
    yield stopped(stage, "5-2", ["kill@batch:13", "kill@batch:4"])
    yield stopped(stage, "5-3", ["kill@batch:11", "kill@batch:3", "kill@batch:6"])


def terminated(stage: Stage) -> Outcomes:
    """Group 6."""
    for batch, workers in ((3, 0), (13, 2)):
        training = Training(workers=workers)
        yield stopped(stage, f"6-{batch}", [f"term@batch_end:{batch}"], training, 143)


def terminated_in_window(stage: Stage) -> Outcomes:
    """Group 7."""
    for batch in (4, 13):
        training = Training(accumulate=4)
        yield stopped(stage, f"7-{batch}", [f"term@batch_end:{batch}"], training, 143)


def signalled_while_saving(stage: Stage) -> Outcomes:
    """Group 8: a first signal, and a second one while the checkpoint is being written."""
    big = Training(is_big=True)
    cases = [("term", "term", 143), ("int", "int", 130), ("term", "int", None)]
    for number, (first, second, code) in enumerate(cases):
        faults = f"{first}@batch_end:7,{second}~0.02@save:2"
        yield stopped(stage, f"8-{number}", [faults], big, code)


def interrupted(stage: Stage) -> Outcomes:
    """Group 9: Ctrl-C goes to all processes of a terminal."""
    for batch, workers in ((7, 0), (12, 2)):
        training = Training(workers=workers)
        yield stopped(stage, f"9-{batch}", [f"int_all@batch_end:{batch}"], training, 130)


def hung_up(stage: Stage) -> Outcomes:
    """Group 10."""
    yield stopped(stage, "10-hup", ["hup@batch_end:8"], code=143)
    yield stopped(stage, "10-usr1", ["usr1@batch_end:8"], code=143)


def mistaken(stage: Stage) -> Outcomes:
    """Group 11: an exception in a step keeps its traceback, and loses no batch."""
    whole = stage.whole()
    parts = [stage.fit(stage.home / "11", fault) for fault in ("raise@batch:8", "")]
    outcome = judged("an exception in a step", whole, parts, 1)
    words = ["a mistake in the code"] + ["last.ckpt"] * (not stage.is_plain)
    missing = [word for word in words if word not in parts[0].said]
    if missing:
        outcome = Outcome(outcome.case, (*outcome.faults, "silent"), f"nothing of {missing}")
    yield outcome


def augmented(stage: Stage) -> Outcomes:
    """Group 16: random changes of the examples, the same with any number of workers."""
    ends = []
    for workers in (0, 2):
        training = Training(workers=workers, is_random=True)
        ends.append(stage.whole(training).end)
        yield stopped(stage, f"16-{workers}", ["kill@batch:13"], training)
    faults, seen = ((), "") if ends[0] == ends[1] else (("inexact",), "other weights")
    yield Outcome("0 and 2 workers", faults, seen)


FAULTS = {
    1: killed_at_random,
    2: killed_with_workers,
    3: killed_in_validation,
    4: killed_at_edges,
    5: killed_often,
    6: terminated,
    7: terminated_in_window,
    8: signalled_while_saving,
    9: interrupted,
    10: hung_up,
    11: mistaken,
    16: augmented,
}
PLAIN = tuple(FAULTS)
