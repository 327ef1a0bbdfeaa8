"""The campaign of kills, small: a training and what follows it, each killed at a seeded moment."""

import random
from pathlib import Path

import pytest

from benchmarks.faults.kills import cases, kill_once, undisturbed
from benchmarks.inputs import write_inputs


def test_kills__of_a_training_a_prediction_and_an_export_leave_what_they_leave_undisturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIT_HF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_inputs(tmp_path, num_rows=72, num_questions=60)
    draw = random.Random(3)
    known = {case.name: case for case in cases(tmp_path)}
    for number, name in enumerate(("0 workers, 1 process", "predict", "export")):
        case = known[f"texts, {name}"]
        plan = undisturbed(case, tmp_path)
        outcome = kill_once(case, tmp_path, number, plan, draw.uniform(0.1, 1.0))
        assert outcome.end == "same", name
