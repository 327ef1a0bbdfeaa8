"""The script for a GPU: its tiny form from end to end, and what a GPU or a fault would change."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.budget import Budget, Outcome, Part, run_all
from benchmarks.gpu.device import absent
from benchmarks.gpu.kill import difference
from benchmarks.gpu.parts import NAMES
from benchmarks.gpu.rows import rows_of
from benchmarks.gpu.scale import TINY
from benchmarks.gpu.speed import WORKERS, fitted, measure, shortened
from benchmarks.gpu.table import render
from benchmarks.gpu.worker import Worker
from benchmarks.speed.contestants import words_of
from benchmarks.speed.setting import Setting, peak, settle
from benchmarks.speed.work import Counts, Work

NUMBERS = {"train_rows_per_second", "validate_rows_per_second"}


@pytest.mark.slow
def test_tiny__writes_a_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    only = [name for name in NAMES if not name.startswith("kill:images")]
    words = ["--tiny", "--minutes", "60", "--out", str(tmp_path), "--only", *only]
    assert main(words) == 0, (tmp_path / "gpu_cpu_tiny.md").read_text()
    found = json.loads((tmp_path / "gpu_cpu_tiny.json").read_text())
    assert {"date", "machine", "versions"} <= found.keys()
    assert [*found["parts"]] == only
    page = (tmp_path / "gpu_cpu_tiny.md").read_text()
    for name, part in found["parts"].items():
        assert name.removeprefix("kill:") in page
        assert part["state"] == ("absent" if name.endswith(":16-mixed") else "done"), part
    for work in TINY.works:
        ours, theirs = (found["parts"][f"{work}:bf16-mixed"]["who"][who] for who in WORKERS)
        assert all(ours[name] > 0 and theirs[name] > 0 for name in NUMBERS)
        first = found["parts"][f"{work}:bf16-mixed"]["rounds"][0]
        for stage in ("train", "validate"):
            assert first["lit_hf"][stage]["rows"] == first["trainer_best"][stage]["rows"]
        assert first["lit_hf"]["train"]["tokens"] == first["trainer_best"]["train"]["tokens"]
        scores = {"exact_match", "f1"} if work in ("squad", "t5") else {"accuracy", "f1"}
        assert scores <= ours.keys() & theirs.keys()
        assert all(
            0 < told["validate"]["scoring"] < told["validate"]["seconds"] for told in first.values()
        )
    killed = found["parts"]["kill:tweets:bf16-mixed"]
    assert killed["largest_difference"] == 0
    assert 0 < killed["resumed_from"] < killed["killed_after"] < killed["steps"]
    assert "those of an undisturbed run, bit for bit" in page


def test_help__and_a_machine_without_gpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "SIGKILL in mid-epoch" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(tmp_path)])
    assert "PyTorch sees no GPU here; --tiny" in capsys.readouterr().err


class Ticks:
    """A clock that a test sets forward."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_parts__that_fail_or_find_no_time_leave_the_rest_alone() -> None:
    clock, shares, told = Ticks(), dict[str, float](), list[str]()

    def takes(seconds: float, name: str, fault: str = "") -> Part:
        def run(share: float, left: float) -> Mapping[str, Any]:
            shares[name] = share
            clock.now += seconds
            if fault:
                raise RuntimeError(fault)
            return {"value": seconds}

        return Part(name, 30, "", run)

    parts = [
        takes(20, "first"),
        Part("other", 30, "this device has none", lambda share, left: {}),
        takes(10, "second", "out of memory"),
        takes(70, "third"),
        takes(1, "fourth"),
    ]
    outcomes = run_all(parts, Budget(2, clock), lambda name, _: told.append(name))
    assert told == [part.name for part in parts]
    assert shares == {"first": 30, "second": 100 / 3, "third": 45}, "of the parts that are there"
    assert {name: outcome["state"] for name, outcome in outcomes.items()} == {
        "first": "done",
        "other": "absent",
        "second": "failed",
        "third": "done",
        "fourth": "skipped",
    }
    assert outcomes["first"] == {"state": "done", "value": 20, "seconds": 20}
    assert outcomes["second"]["reason"] == "RuntimeError: out of memory"
    assert outcomes["fourth"]["reason"] == "it needs 30 s, and 20 s were left"


def test_worker__tells_why_it_failed_and_goes_on(tmp_path: Path) -> None:
    worker = Worker("int", int, tmp_path / "log", {})
    assert worker.run(60, "12") == 12
    with pytest.raises(RuntimeError, match=r"(?s)int failed.*invalid literal for int.*'many'"):
        worker.run(60, "many")
    assert worker.run(60, "13") == 13
    worker.close()


def test_worker__that_hangs_is_ended(tmp_path: Path) -> None:
    worker = Worker("sleep", time.sleep, tmp_path / "log", {})
    with pytest.raises(TimeoutError, match="sleep took more than 0 s"):
        worker.run(0.3, 100)
    assert worker.run(60, 0) is None
    worker.close()


def test_worker__has_variables_of_its_own(tmp_path: Path) -> None:
    worker = Worker("getenv", os.getenv, tmp_path / "log", {"COLOUR": "red"})
    assert worker.run(60, "COLOUR") == "red"
    assert "COLOUR" not in os.environ
    worker.close()


class Sprinter:
    """Stands in for a process: a run takes no time, and counts rows at a given speed."""

    def __init__(self, speed: float, runs: list[tuple[str, int]], name: str) -> None:
        self.speed, self.runs, self.name = speed, runs, name

    def run(self, seconds: float, work: Work, *_: object) -> Counts:
        """Note the run, and count."""
        self.runs.append((self.name, work.num_train))
        rows = {"train": float(work.num_train), "validate": float(work.num_val)}
        return {
            stage: {"rows": n, "seconds": n / self.speed, "scoring": 0.5}
            for stage, n in rows.items()
        }


def test_rounds__alternate_behind_one_that_warms_up(tmp_path: Path) -> None:
    runs: list[tuple[str, int]] = []
    speeds = dict(zip(WORKERS, (30.0, 10.0), strict=True))
    workers = {who: cast("Worker", Sprinter(speed, runs, who)) for who, speed in speeds.items()}
    scale = replace(TINY, num_warm=2, num_rounds=3)
    work = replace(TINY.works["tweets"], num_train=40, num_val=16)
    found = measure(work, Setting(), "model", tmp_path, scale, workers, 26, 60)
    first, second = WORKERS
    sizes = {size for _, size in runs[2:]}
    assert [who for who, _ in runs] == [*WORKERS, first, second, second, first, first, second]
    assert runs[0][1] == 2 * work.batch_size
    assert sizes == {found["rows"]["train"]} == {32}, "of 6.5 s a half, at 10 rows a second"
    assert found["who"]["trainer_best"]["ratio"] == {"train": 3, "validate": 3}


@pytest.mark.parametrize(("seconds", "num_train"), [(0, 8), (1000, 24)])
def test_rows__are_never_more_or_fewer_than_they_may(seconds: float, num_train: int) -> None:
    work = TINY.works["tweets"]
    short = shortened(work, num_steps=2)
    stages = {stage: {"rows": 8.0, "seconds": 1.0} for stage in ("train", "validate")}
    assert fitted(work, short, {"lit_hf": stages}, seconds).num_train == num_train


@pytest.mark.parametrize("work", ["tweets", "squad", "images"])
def test_rows__all_differ(work: str) -> None:
    rows = rows_of(work, 60)
    texts = [str(row.get("text") or row.get("context") or row["img"].tobytes()) for row in rows]
    asked = [row.get("question") for row in rows]
    assert len(set(zip(texts, asked, strict=True))) == 60
    for row in rows if work == "squad" else ():
        for text, start in zip(*row["answers"].values(), strict=True):
            assert row["context"][start:].startswith(text)


@pytest.mark.parametrize(
    ("gpu", "has_bf16", "missing"),
    [
        (None, False, {"16-mixed": "a CPU has no 16-mixed"}),
        ("Tesla T4", False, {"bf16-mixed": "Tesla T4 computes no bfloat16"}),
        ("NVIDIA H200", True, {}),
    ],
)
def test_precisions__that_a_device_lacks(
    gpu: str | None, has_bf16: bool, missing: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    for precision in ("bf16-mixed", "16-mixed"):
        reason = absent("tweets", precision)
        assert reason.startswith(missing.get(precision, ""))
        assert bool(reason) == (precision in missing)
    assert absent("t5", "16-mixed")


def test_memory__is_that_of_the_gpu_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert peak() == {}
    waits: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * 2**20)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append("waited"))
    settle()
    assert peak() == {"peak_gpu_mib": 3}
    assert waits == ["waited"]


def test_words__of_half_precision(tmp_path: Path) -> None:
    work = TINY.works["squad"]
    words = {
        precision: " ".join(words_of(work, tmp_path, "model", Setting("gpu", precision, 4, 8)))
        for precision in ("bf16-mixed", "16-mixed")
    }
    for precision, text in words.items():
        assert f"--trainer.precision {precision} --trainer.accelerator gpu" in text
        assert "--data.doc_stride 32 --data.pad_to_multiple_of 8" in text


def test_difference__of_weights() -> None:
    weights = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3])}
    assert difference(weights, dict(weights)) == 0
    assert difference(weights, {**weights, "a": torch.tensor([1.0, 2.5])}) == 0.5
    with pytest.raises(RuntimeError, match=r"other names: \{'b'\}"):
        difference(weights, {"a": weights["a"]})


def test_page__says_what_is_not_there() -> None:
    parts: dict[str, Outcome] = {
        "tweets:bf16-mixed": {"state": "failed", "reason": "RuntimeError: lit_hf failed\nline | 2"},
        "t5:16-mixed": {"state": "absent", "reason": "refused"},
        "squad:bf16-mixed": {"state": "skipped", "reason": "it needs 30 s"},
        "kill:tweets:bf16-mixed": {
            "state": "done",
            **{"steps": 24, "killed_after": 8, "resumed_from": 5},
            **{"largest_difference": 2e-7, "undisturbed_difference": 1e-7},
        },
        "kill:images:bf16-mixed": {"state": "not reached"},
    }
    about = {"title": "On a GPU", "date": "today", "machine": "a GPU", "versions": {"torch": "2"}}
    page = render({**about, "seconds": 9.0, "weights": "random", "parts": parts})
    for line in (
        "| tweets:bf16-mixed | | failed: RuntimeError: lit_hf failed | | | | | | |",
        "| t5:16-mixed | | not measured: refused | | | | | | |",
        "| squad:bf16-mixed | | no time: it needs 30 s | | | | | | |",
        "| tweets:bf16-mixed | 8 of 24 | 5 | differ by 2e-07 at most, those of two undisturbed runs"
        " by 1e-07 |",
        "| images:bf16-mixed | not reached | | |",
        "    line | 2",
    ):
        assert line in page.splitlines()
