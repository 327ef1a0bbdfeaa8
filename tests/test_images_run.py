"""Images from folder to answer: the command, the export, the Predictor, one process and two."""

import contextlib
import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

from lit_hf import Predictor
from lit_hf.cli import main
from tests.images import NAMES, write_folder

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "configs" / "image_classification" / "cifar10.yaml"


def _main(*words: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(words) == 0
    return out.getvalue()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of the recipe's model on drawn images, scored and predicted by the command."""
    folder = tmp_path_factory.mktemp("images")
    write_folder(folder / "set" / "train", 24)
    write_folder(folder / "set" / "test", 7)
    write_folder(folder / "new", 5, by_class=False)
    shown = _main(
        *("fit", "--config", str(RECIPE), "--data", "ImageClassificationDataModule"),
        *("--model.model_name", str(RECIPE.parent / "vit_32"), "--data.batch_size", "8"),
        *("--data.dataset", str(folder / "set"), "--data.val_fraction", "0.25"),
        *("--model.config_overrides.num_hidden_layers", "1", "--samples.every_n_steps", "2"),
        *("--trainer.default_root_dir", str(folder / "run"), "--trainer.max_epochs", "3"),
        *("--trainer.accelerator", "cpu"),
        *("--data.augmentations", "[CropAndFlip, RandAugment]", "--data.mixings+=CutMix"),
    )
    assert "training examples" in shown
    _main("test", "--run", str(folder / "run"))
    _main("predict", "--run", str(folder / "run"), "--data.predict_file", str(folder / "new"))
    return folder / "run"


def test_run__scores_and_predicts_each_image_once(run_folder: Path) -> None:
    results = json.loads((run_folder / "results.json").read_text())
    assert results["test"]["num_examples"] == 7
    assert 0 <= results["test"]["accuracy"] <= 1
    lines = (run_folder / "predictions.jsonl").read_text().splitlines()
    answers = [json.loads(line) for line in lines]
    assert [answer["id"] for answer in answers] == [f"{n:02}.png" for n in range(5)]
    assert {answer["prediction"] for answer in answers} <= set(NAMES)


@pytest.mark.parametrize("source", ["pretrained", "checkpoint"])
def test_predictor__answers_as_the_command_does(run_folder: Path, source: str) -> None:
    best = source if source == "pretrained" else str(next(run_folder.glob("checkpoints/epoch*")))
    predictor = Predictor.from_pretrained(run_folder / best)
    lines = (run_folder / "predictions.jsonl").read_text().splitlines()
    paths = sorted((run_folder.parent / "new").iterdir())
    for answer, line in zip(predictor(paths), lines, strict=True):
        wanted = json.loads(line)
        assert answer["prediction"] == wanted["prediction"]
        assert answer["probability"] == pytest.approx(wanted["probability"], abs=1e-5)


def test_export__answers_the_same_in_plain_transformers(run_folder: Path) -> None:
    folder = run_folder / "pretrained"
    images = [Image.open(path) for path in sorted((run_folder.parent / "new").iterdir())]
    processor = AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]  # has no types
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(**processor(images, return_tensors="pt")).logits
    answers = Predictor.from_pretrained(folder)(images)
    for answer, values in zip(answers, logits.softmax(1).tolist(), strict=True):
        probabilities = answer["probabilities"]
        assert isinstance(probabilities, dict)
        assert list(probabilities) == NAMES
        assert list(probabilities.values()) == pytest.approx(values, abs=1e-4)
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: image-classification" in card


def test_bad_image__stops_before_any_weights(run_folder: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "train", 4)
    (tmp_path / "train" / "dark" / "00.png").write_bytes(b"<html>")
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        code = main(
            [
                *("fit", "--run", str(run_folder), "--trainer.default_root_dir", str(tmp_path)),
                *("--data.dataset", str(tmp_path), "--trainer.max_epochs", "4"),
            ]
        )
    assert code == 2
    assert "1 row: the content is a web page" in err.getvalue()
    assert "00.png" in err.getvalue()
