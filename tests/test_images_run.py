"""Images from folder to answer: the command, the export, the Predictor, one process and two."""

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

from lit_hf import Predictor
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.cli.command import main
from tests.cifar_files import batch_files, images_of, packed
from tests.commands import output_of
from tests.images import NAMES, drawn, opened, png, write_folder

ROOT = Path(__file__).parent.parent
PANELS = ["train", "fixed", "worst"]
RECIPE = ROOT / "configs" / "image_classification" / "cifar10.yaml"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of the recipe's model on drawn images, scored and predicted by the command."""
    folder = tmp_path_factory.mktemp("images")
    write_folder(folder / "set" / "train", 24)
    write_folder(folder / "set" / "test", 7)
    write_folder(folder / "new", 5, by_class=False)
    shown = output_of(
        *("fit", "--config", str(RECIPE), "--data", "ImageClassificationDataModule"),
        *("--model.model_name", str(RECIPE.parent / "vit_32"), "--data.batch_size", "8"),
        *("--data.dataset", str(folder / "set"), "--data.val_fraction", "0.25"),
        *("--model.config_overrides.num_hidden_layers", "1", "--samples.every_n_steps", "2"),
        *("--trainer.default_root_dir", str(folder / "run"), "--trainer.max_epochs", "3"),
        *("--trainer.accelerator", "cpu"),
        *("--data.augmentations", "[CropAndFlip, RandAugment]", "--data.mix_transforms+=CutMix"),
    )
    assert "training examples" in shown
    output_of("test", "--run", str(folder / "run"))
    output_of("predict", "--run", str(folder / "run"), "--data.predict_file", str(folder / "new"))
    return folder / "run"


def test_run__scores_and_predicts_each_image_once(run_folder: Path) -> None:
    results = json.loads((run_folder / "results.json").read_text())
    assert results["test"]["num_examples"] == 7
    assert results["test"].keys() == results["fit"]["best"].keys() - {"monitor", "best_score"}
    assert 0 <= results["test"]["accuracy"] <= 1
    lines = (run_folder / "predictions.jsonl").read_text().splitlines()
    answers = [json.loads(line) for line in lines]
    assert [answer["id"] for answer in answers] == [f"{n:02}.png" for n in range(5)]
    assert {answer["prediction"] for answer in answers} <= set(NAMES)
    table = (run_folder / "submission.csv").read_text().splitlines()
    wanted = [f"{answer['id']},{answer['prediction']}" for answer in answers]
    assert table == ["id,label", *wanted]


def test_run__draws_samples_and_the_confusion_matrix(run_folder: Path) -> None:
    rows = (run_folder / "confusion_matrix.csv").read_text().splitlines()
    assert rows[0] == "truth,dark,light"
    counts = [[int(cell) for cell in row.split(",")[1:]] for row in rows[1:]]
    assert [sum(row) for row in counts] == [4, 3]
    accuracy = json.loads((run_folder / "results.json").read_text())["test"]["accuracy"]
    assert (counts[0][0] + counts[1][1]) / 7 == pytest.approx(accuracy)
    assert opened(run_folder / "confusion_matrix.png").size == (600, 500)
    lines = (run_folder / "samples.jsonl").read_text().splitlines()
    named = {json.loads(line)["image"] for line in lines}
    drawn = {f"samples/{path.name}" for path in (run_folder / "samples").iterdir()}
    assert named == drawn
    assert {name.split("-")[0] for name in drawn} == {f"samples/{p}" for p in PANELS}


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
    told = _refused(run_folder, tmp_path / "run", tmp_path)
    assert "1 row: the content is a web page" in told
    assert "00.png" in told


def _refused(run_folder: Path, folder: Path, dataset: Path) -> str:
    """What the command says of a data set that it refuses."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        code = main(
            [
                *("fit", "--run", str(run_folder), "--trainer.default_root_dir", str(folder)),
                *("--data.dataset", str(dataset), "--trainer.max_epochs", "4"),
            ]
        )
    assert code == 2
    assert "Traceback" not in err.getvalue()
    assert not [path for path in folder.rglob("*") if path.is_file()]
    return err.getvalue()


def test_bad_image_to_predict__is_never_left_out(run_folder: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "new" / "more", 2, by_class=False)
    (tmp_path / "new" / "cut.png").write_bytes(b"<html>")
    before = (run_folder / "predictions.jsonl").read_bytes()
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        words = ["--data.predict_file", str(tmp_path / "new"), "--data.on_bad_row", "skip"]
        assert main(["predict", "--run", str(run_folder), *words]) == 2
    assert "cut.png" in err.getvalue()
    assert "Fix these rows, remove them" in err.getvalue()
    assert "skip" not in err.getvalue()
    assert f"What lies in {run_folder / 'predictions.jsonl'}, and beside it, is" in err.getvalue()
    assert (run_folder / "predictions.jsonl").read_bytes() == before


def test_bad_images__of_every_kind_are_told_in_one_report(run_folder: Path, tmp_path: Path) -> None:
    home = write_folder(tmp_path / "set" / "train", 4) / "dark"
    jpeg, bomb = io.BytesIO(), io.BytesIO()
    Image.fromarray(drawn(0, 200, 200)).save(jpeg, "JPEG")
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    contents = {
        "cut.png": png(0, 200, 200)[:900],
        "cut.jpg": jpeg.getvalue()[: len(jpeg.getvalue()) // 2],
        "empty.png": b"",
        "page.png": b"<html>404</html>",
        "text.png": b"hello",
        "bomb.png": bomb.getvalue(),
    }
    for name, content in contents.items():
        (home / name).write_bytes(content)
    (home / "loop.png").symlink_to("loop.png")
    (home / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(home / "pipe.png")
    told = _refused(run_folder, tmp_path / "run", tmp_path / "set")
    for name, clause in {
        **dict.fromkeys(("cut.png", "cut.jpg"), "cut off or corrupt"),
        "empty.png": "1 row: the image has 0 bytes",
        "page.png": "1 row: the content is a web page",
        "text.png": "1 row: the content is no image",
        "bomb.png": "1 row: the image claims 9000 x 9000 pixels",
        **dict.fromkeys(("loop.png", "gone.png", "pipe.png"), "3 rows: the image file is not"),
    }.items():
        assert any(clause in line and name in line for line in told.splitlines()), (name, told)
    assert told.count("(column 'image')") == len(told.splitlines()) - 1


def test_odd_images__are_trained_on(run_folder: Path, tmp_path: Path) -> None:
    """Grey, transparent, palette, 16 bits, CMYK, one pixel, animated, turned, large and small."""
    home = write_folder(tmp_path / "set" / "train", 2) / "dark"
    plain = Image.fromarray(drawn(0, 8, 12))
    exif = Image.Exif()
    exif[0x0112] = 6
    for mode in ("L", "RGBA", "P", "CMYK", "1", "LA"):
        plain.convert(mode).save(home / f"{mode}.tif")
    Image.fromarray(drawn(0)[..., 0].astype(np.uint16) * 257).save(home / "deep.png")
    Image.new("RGB", (1, 1)).save(home / "one.png")
    plain.save(home / "moving.gif", save_all=True, append_images=[Image.new("RGB", (8, 12))])
    plain.save(home / "turned.png", exif=exif)
    (home / "large.png").write_bytes(png(0, 130, 100))
    output_of(
        *("fit", "--run", str(run_folder), "--trainer.default_root_dir", str(tmp_path / "run")),
        *("--data.dataset", str(tmp_path / "set"), "--trainer.max_epochs", "1"),
        *("--data.val_fraction", "0", "--checkpoint.monitor", "train/loss", "--ckpt_path", "null"),
    )
    lines = (tmp_path / "run" / "metrics.csv").read_text()
    assert "train/loss" in lines
    assert "nan" not in lines


@pytest.mark.parametrize("kind", ["half", "code"])
def test_archive__that_could_do_harm_is_refused_and_nothing_written(
    kind: str, run_folder: Path, tmp_path: Path
) -> None:
    files = batch_files("", images_of(*range(12)), [n % 10 for n in range(12)])
    trace = tmp_path / "trace"
    if kind == "code":
        shell = f"touch {trace}".encode()
        files["data_batch_2"] = (
            b"\x80\x02cposix\nsystem\nU" + bytes([len(shell)]) + shell + b"\x85R."
        )
    content = packed("cifar-10-batches-py", files)
    source = tmp_path / "in" / "cifar-10-python.tar.gz"
    source.parent.mkdir()
    source.write_bytes(content[: len(content) // 2] if kind == "half" else content)
    told = _refused(run_folder, tmp_path / "run", source)
    message = {
        "half": "most often half a download",
        "code": "asks for posix.system",
    }[kind]
    assert message in told
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "run"}
    assert [path.name for path in source.parent.iterdir()] == [source.name]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_stopped_run__goes_on_as_if_it_had_not_stopped(
    num_workers: int, tiny_vit: str, tmp_path: Path
) -> None:
    write_folder(tmp_path / "train", 16)

    def fit(name: str, *words: str, code: int = 0) -> str:
        return output_of(
            *("fit", "--import", "tests.stopping", "--ckpt_path", "auto"),
            *("--model", "ImageClassifier", "--model.model_name", tiny_vit),
            *("--data", "ImageClassificationDataModule", "--data.dataset", str(tmp_path)),
            *("--data.batch_size", "4", "--data.num_workers", str(num_workers)),
            *("--data.val_fraction", "0.25", "--checkpoint.monitor", "val/accuracy"),
            *("--trainer.default_root_dir", str(tmp_path / name), "--trainer.max_epochs", "3"),
            *("--trainer.accelerator", "cpu", "--samples.num_samples", "0", *words),
            code=code,
        )

    fit("whole")
    stop = ("--trainer.callbacks+=tests.stopping.StopBefore", "--trainer.callbacks.epoch", "1")
    assert "stopped; the same command resumes from" in fit("parts", *stop, code=130)
    last: Any = read_checkpoint(tmp_path / "parts" / "checkpoints" / "last.ckpt")
    assert last["global_step"] == 3
    assert "resuming from" in fit("parts")
    whole: Any = read_checkpoint(tmp_path / "whole" / "checkpoints" / "last.ckpt")
    parts: Any = read_checkpoint(tmp_path / "parts" / "checkpoints" / "last.ckpt")
    assert whole["global_step"] == parts["global_step"] == 9
    for held in (parts, whole):
        (held["optimizer"],) = (state["state"] for state in held["optimizer_states"])
    assert (
        parts["optimizer_states"][0]["param_groups"] == whole["optimizer_states"][0]["param_groups"]
    )
    for part in ("state_dict", "optimizer", "lr_schedulers"):
        torch.testing.assert_close(parts[part], whole[part], rtol=0, atol=0)
