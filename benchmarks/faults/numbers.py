"""Group C: losses and scores that are no numbers."""

import json
import math
from pathlib import Path

import torch

from benchmarks.faults.data import as_questions
from benchmarks.faults.resume import Outcomes
from benchmarks.faults.stage import Outcome, Stage, Training
from benchmarks.faults.told import refused, right, told


def _bad_weights(folder: Path) -> list[str]:
    """Checkpoints that hold a weight which is no number."""
    found = []
    for path in sorted(folder.rglob("*.ckpt")):
        weights = torch.load(path, weights_only=True)["state_dict"].values()
        if not all(bool(w.isfinite().all()) for w in weights if w.is_floating_point()):
            found.append(path.name)
    return found


def _stopped(stage: Stage, case: str, faults: str, training: Training) -> Outcome:
    """A loss that is no number: stops with step and examples, and no bad weights on disk."""
    folder = stage.home / case.replace(" ", "-")
    run = stage.fit(folder, faults, training)
    said = () if stage.is_plain else ("the loss is", "optimizer steps", "for the examples 't")
    outcome = told(case, run, 1, said)
    if bad := _bad_weights(folder):
        seen = f"{outcome.seen}; weights that are no numbers in {bad}"
        outcome = Outcome(case, tuple(dict.fromkeys([*outcome.faults, "silent"])), seen)
    return outcome


def not_a_number(stage: Stage) -> Outcomes:
    """Group 39."""
    yield _stopped(stage, "39 NaN", "nan@batch:7", Training())
    yield _stopped(stage, "39 infinite", "inf@batch:12", Training())
    yield _stopped(stage, "39 NaN in a window", "nan@batch:6", Training(accumulate=4))


def on_one_process(stage: Stage) -> Outcomes:
    """Group 40: both processes stop."""
    yield _stopped(stage, "40 NaN on process 1", "nan@batch:3@rank1", Training(devices=2))


def score(stage: Stage) -> Outcomes:
    """Group 41: a validation loss that is NaN is never the best."""
    run = stage.fit(folder := stage.home / "41", "nan@val:0")
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    scores = [
        float(state["best_model_score"])
        for state in last["callbacks"].values()
        if isinstance(state, dict)
        and state.get("monitor")
        and state["best_model_score"] is not None
    ]
    is_right = run.code == 0 and bool(scores) and all(map(math.isfinite, scores))
    yield right("NaN first", is_right, "silent", f"{scores} {run.said[-200:]}")


def spike(stage: Stage) -> Outcomes:
    """Group 42: a loss a thousand times the usual is told with its examples."""
    run = stage.fit(stage.home / "42", "spike@batch:13")
    yield told("x 1000", run, 0, ("the largest one before", "for the examples 't"))


def nothing_to_learn(stage: Stage) -> Outcomes:
    """Group 43: answers of questions that stand nowhere in their context."""
    rows = stage.home / "43.jsonl"
    row = {"question": "Who?", "context": "Ada sold it.", "answers": ["Bob"]}
    rows.write_text("".join(json.dumps({"id": f"q{n}", **row}) + "\n" for n in range(8)))
    words = as_questions(stage, stage.home / "43", rows)
    yield refused(stage, "all answers elsewhere", words, ["8 rows", "Bob"])


def twice(stage: Stage) -> Outcomes:
    """Group 44."""
    run, whole = stage.fit(stage.home / "44"), stage.whole()
    is_same = run.end == whole.end and run.batches == whole.batches
    yield Outcome("the same command in another folder", () if is_same else ("inexact",))


FAULTS = {
    39: not_a_number,
    40: on_one_process,
    41: score,
    42: spike,
    43: nothing_to_learn,
    44: twice,
}
PLAIN = (39, 40, 41, 42, 44)
