import os
from pathlib import Path
from typing import Any

import pytest

from lit_hf.files.run_paths import HEADER, is_written_by_run, with_absolute_paths


def test_config__of_a_run_is_known_by_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    assert not is_written_by_run(path)
    path.write_text("model: x\n")
    assert not is_written_by_run(path)
    path.write_text(f"{HEADER}model: x\n")
    assert is_written_by_run(path)


def test_paths__mean_the_same_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bert").mkdir()
    bundled = "lit_hf/assets/tweets/train.csv"
    config: dict[str, Any] = {
        "model": {"init_args": {"model_name": "bert", "num_best": 1}},
        "data": {
            "class_path": "D",
            "init_args": {
                "train_file": ["a.csv", "/abs/b.csv", "s3://b/c.csv", bundled],
                "val_file": None,
                "dataset": "org/name",  # of the Hub
                "text_column": "bert",
            },
        },
        "trainer": {"logger": [{"init_args": {"save_dir": "logs"}}], "callbacks": None},
    }
    found = with_absolute_paths(config)
    here = os.getcwd()
    assert found["model"]["init_args"] == {"model_name": f"{here}/bert", "num_best": 1}
    assert found["data"]["init_args"] == {
        "train_file": [f"{here}/a.csv", "/abs/b.csv", "s3://b/c.csv", bundled],
        "val_file": None,
        "dataset": "org/name",
        "text_column": "bert",
    }
    assert found["trainer"]["logger"][0]["init_args"] == {"save_dir": f"{here}/logs"}
    assert with_absolute_paths(found) == found
    own = tmp_path / bundled
    own.parent.mkdir(parents=True)
    own.touch()
    assert with_absolute_paths({"train_file": bundled}) == {"train_file": str(own)}
