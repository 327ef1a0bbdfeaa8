import itertools
import time
from pathlib import Path

import pytest
import torch

from benchmarks.speed.hf_trainer import best_flags, hf_trainer
from benchmarks.speed.plain_loop import loop
from benchmarks.speed.setting import Setting
from benchmarks.speed.summary import summarise
from benchmarks.speed.work import WORKS, write_rows


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty tweets to train on and ten to evaluate."""
    folder = tmp_path_factory.mktemp("rows")
    texts = [f"{n},{'fire in town ' * (n % 5 + 1)}{n},{n % 2}" for n in range(80)]
    (folder / "all.csv").write_text("\n".join(["id,text,target", *texts, ""]))
    write_rows("tweets", folder / "all.csv", folder, num_train=60, num_val=10)
    return folder


def test_loop__trains_each_row_once_an_epoch(
    rows: Path, tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    backward = torch.Tensor.backward
    found = loop(WORKS["tweets"], rows, tiny_model)
    assert found["validate"]["rows"] == 10
    counts = found["train"]
    assert counts["rows"] == 3 * 60
    assert 0 < counts["tokens"] <= counts["padded"]
    assert 0 < counts["inside"] < counts["seconds"]
    assert torch.Tensor.backward is backward


def test_hf_trainer__does_all_stages(rows: Path, tiny_model: str) -> None:
    counts = hf_trainer(WORKS["tweets"], rows, tiny_model, Setting(), best_flags)
    assert {stage: part["rows"] for stage, part in counts.items()} == {
        "train": 3 * 60,
        "validate": 10,
        "predict": 10,
    }
    assert counts["validate"]["accuracy"] in {n / 10 for n in range(11)}


def test_summary__has_medians_of_the_ratios_within_rounds() -> None:
    def turn(ours: float, theirs: float) -> dict[str, dict[str, dict[str, float] | float]]:
        return {
            who: {"train": {"rows": 100.0, "seconds": took}, "peak_mib": 5.0}
            for who, took in (("lit_hf", ours), ("trainer", theirs))
        }

    found = summarise([turn(1, 2), turn(10, 30), turn(1, 8)])
    assert found["lit_hf"]["train_rows_per_second"] == 100
    assert found["trainer"]["ratio"]["train"] == 3
    assert found["trainer"]["train_rows_per_second"] == pytest.approx(12.5)
