"""Every recipe parses, instantiates and trains; those with real data here on a few rows of it."""

import contextlib
import io
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from lit_hf.cli.command import main
from tests.commands import output_of
from tests.images import png
from tests.tiny_models import write_vit

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "configs").rglob("*.yaml"))
TASKS = [path for path in RECIPES if path.parent.name != "overlays"]
OVERLAYS = [path for path in RECIPES if path.parent.name == "overlays"]
REAL = {
    "disaster_tweets": ["--data.train_file", "disaster_tweets/train.csv"],
    "goemotions": ["--data.dataset", "goemotions"],
    "stsb": ["--data.dataset", "stsb"],
    "tweeteval": ["--data.dataset", "tweeteval"],
    "squad_v1": ["--data.train_file", "squad/v1.1-dev.json"],
    "squad_v2": ["--data.train_file", "squad/v2.0-dev.json"],
    "squad_t5": ["--data.train_file", "squad/v2.0-dev.json"],
}
UNMEASURED = {
    "cifar10_vit_base",
    "demo",
    "korquad",
    "squad_t5",
}  # bundled; no pretrained model of the kind at hand
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
    config = yaml.safe_load(output_of(*words))
    assert 0 < config["model"]["init_args"]["optimizer"]["init_args"]["lr"] < 1e-2
    assert config["checkpoint"]["monitor"].startswith("val/")
    assert config["trainer"]["default_root_dir"]


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_overlay__parses_behind_a_recipe_and_changes_it(
    path: Path, tiny_model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = ROOT / "configs" / "text_classification" / "disaster_tweets.yaml"
    words = ["--config", str(recipe), "--config", str(path), "--model.model_name", tiny_model]
    assert main(["fit", *words, "--print_config"]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    wanted = yaml.safe_load(path.read_text(encoding="utf-8"))
    for group, settings in wanted.items():
        for name, value in settings.items():
            assert not isinstance(value, dict | list), "an overlay holds scalars only"
            assert str(config[group][name]) == str(value)
    assert "lit-hf fit" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("size", [None, 96])
def test_recipe_of_vit_base__trains_a_headless_model_of_its_form(
    size: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A `ViTModel` with pooler and no classifier, for images of 224 x 224 pixels."""
    write_vit(tmp_path / "vit", size=224, patch=16, has_pooler=True)
    rows = [{"img": {"bytes": png(n, 32, 32), "path": None}, "label": n % 10} for n in range(40)]
    table = pa.Table.from_pylist(rows)
    (tmp_path / "set").mkdir()
    for split in ("train", "test"):
        pq.write_table(table, tmp_path / "set" / f"{split}.parquet")
    run = tmp_path / "run"
    path = next(path for path in TASKS if path.stem == "cifar10_vit_base")
    words = [
        *("fit", "--config", str(path), "--model.model_name", str(tmp_path / "vit")),
        *("--config", str(ROOT / "configs" / "overlays" / "smoke.yaml"), "--data.batch_size", "4"),
        *("--data.dataset", str(tmp_path / "set"), "--trainer.default_root_dir", str(run)),
        *(["--data.image_size", str(size)] if size else []),
    ]
    assert main(words) == 0
    assert main(["test", "--run", str(run)]) == 0
    said = capsys.readouterr()
    assert ("interpolated to" in said.err) is (size == 96)
    assert "MISSING" not in said.err
    assert "drawn at random" not in said.err
    assert json.loads((run / "results.json").read_text())["test"]["num_examples"] == 40


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
