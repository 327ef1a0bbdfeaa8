"""Every recipe parses, instantiates and trains; those with real data here on a few rows of it."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import yaml

from lit_hf.cli import main

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "configs").rglob("*.yaml"))
TASKS = [path for path in RECIPES if path.parent.name != "overlays"]
REAL = {
    "disaster_tweets": ["--data.train_file", "disaster_tweets/train.csv"],
    "goemotions": ["--data.dataset", "goemotions"],
    "stsb": ["--data.dataset", "stsb"],
    "tweeteval": ["--data.dataset", "tweeteval"],
    "squad_v1": ["--data.train_file", "squad/v1.1-dev.json"],
    "squad_v2": ["--data.train_file", "squad/v2.0-dev.json"],
    "squad_t5": ["--data.train_file", "squad/v2.0-dev.json"],
}
UNMEASURED = {"demo", "korquad", "squad_t5"}  # bundled; no pretrained model of the kind at hand
SHORT = ["--data.max_length", "128", "--data.doc_stride", "4", "--data.on_bad_row", "skip"]


def test_recipes__are_found() -> None:
    assert len(TASKS) >= 5
    assert {path.stem for path in TASKS} >= set(REAL)


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_recipe__opens_with_what_where_and_how(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    head = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    assert "lit-hf fit" in head
    if path.stem not in UNMEASURED:
        assert re.search(r"Measured \d{4}-\d{2}-\d{2}", head), "no measured score with its date"


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_recipe__parses_and_shows_its_learning_rate(path: Path, tiny_model: str) -> None:
    words = ["fit", "--config", str(path), "--model.model_name", tiny_model, "--print_config"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(words) == 0
    config = yaml.safe_load(out.getvalue())
    assert 0 < config["model"]["init_args"]["optimizer"]["init_args"]["lr"] < 1e-2
    assert config["checkpoint"]["monitor"].startswith("val/")
    assert config["trainer"]["default_root_dir"]


@pytest.mark.parametrize("stem", sorted(REAL))
def test_recipe__trains_on_the_real_files(
    stem: str, tiny_model: str, tiny_t5: str, real_data: Path, tmp_path: Path
) -> None:
    path = next(path for path in TASKS if path.stem == stem)
    option, source = REAL[stem]
    words = [
        "fit",
        *("--config", str(path), "--config", str(ROOT / "configs" / "overlays" / "smoke.yaml")),
        *("--model.model_name", tiny_t5 if path.parent.name == "generative_qa" else tiny_model),
        *(option, str(real_data / source)),
        *("--trainer.default_root_dir", str(tmp_path / "run")),
        *(SHORT if path.parent.name.endswith("_qa") else []),
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(words) == 0
    assert (tmp_path / "run" / "pretrained" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "samples.jsonl").is_file()
