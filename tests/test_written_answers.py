"""A model that writes answers, from file to answer: the command, the export, the Predictor."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from lit_hf import Predictor
from tests.commands import output_of
from tests.official_squad import evaluate
from tests.tiny_models import paragraph_rows

Rows = list[dict[str, Any]]
RECIPE = Path(__file__).parent.parent / "configs" / "generative_qa" / "squad_t5.yaml"


@pytest.fixture(scope="module")
def rows() -> Rows:
    return paragraph_rows()[:20]


@pytest.fixture(scope="module")
def run_folder(tiny_t5: str, rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learns twenty questions by heart, then scored and predicted by the command."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file, run = str(folder / "rows.jsonl"), str(folder / "run")
    copy = shutil.copy(file, folder / "copy.jsonl")
    shown = output_of(
        *("fit", "--config", str(RECIPE), "--model.model_name", tiny_t5),
        *("--model.pretrained", "false", "--model.scheduler", "cosine"),
        *("--model.optimizer.lr", "5e-3", "--data.batch_size", "10"),
        *("--data.train_file", file, "--data.val_file", str(copy), "--data.val_sample", "6"),
        *("--samples.every_n_steps", "80", "--trainer.default_root_dir", run),
        *("--trainer.max_epochs", "110", "--trainer.check_val_every_n_epoch", "110"),
        *("--trainer.accelerator", "cpu"),
    )
    assert "step 80 · epoch 39 · training examples" in shown
    assert "val/num_examples 6" in shown
    output_of("validate", "--run", run)
    output_of("predict", "--run", run, "--data.predict_file", file)
    return folder / "run"


def _lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_run__has_learnt_all_by_heart(run_folder: Path, rows: Rows) -> None:
    results = json.loads((run_folder / "results.json").read_text(encoding="utf-8"))
    scores = results["validate"]
    assert scores.keys() == results["fit"]["best"].keys() - {"monitor", "best_score"}
    assert (scores["exact_match"], scores["f1"], scores["num_examples"]) == (100, 100, 20)
    assert scores["NoAns_total"] == sum(not row["answers"] for row in rows) > 0
    predictions = json.loads((run_folder / "predictions.json").read_text(encoding="utf-8"))
    golds = {row["id"]: [answer["text"] for answer in row["answers"]] for row in rows}
    assert list(predictions) == list(golds)
    assert evaluate(predictions, golds)["exact"] == 100
    answers = _lines(run_folder / "predictions.jsonl")
    assert predictions == {row["id"]: row["prediction"] for row in answers}
    assert all(0 < row["probability"] <= 1 and row["score"] <= 0 for row in answers)
    panels = _lines(run_folder / "samples.jsonl")
    assert {row["panel"] for row in panels} == {"train", "fixed", "worst"}
    assert all(row["correct"] for row in panels if row["panel"] == "fixed")


@pytest.mark.parametrize("source", ["pretrained", "checkpoints/last.ckpt"])
def test_predictor__answers_as_the_command_does(run_folder: Path, rows: Rows, source: str) -> None:
    predictor = Predictor.from_pretrained(run_folder / source)
    wanted = _lines(run_folder / "predictions.jsonl")
    for batch_size in (1, 64):
        for answer, row in zip(predictor(rows, batch_size=batch_size), wanted, strict=True):
            assert answer["prediction"] == row["prediction"]
            assert answer["score"] == pytest.approx(row["score"], abs=1e-4)
    (one,) = predictor(question=rows[0]["question"], context=rows[0]["context"])
    assert one["prediction"] == wanted[0]["prediction"]
    assert predictor(rows[0]["question"], rows[0]["context"]) == [one]


def test_export__writes_the_same_in_plain_transformers(run_folder: Path, rows: Rows) -> None:
    folder = run_folder / "pretrained"
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    row = next(row for row in rows if row["answers"])
    prompt = f"question: {row['question']} context: {row['context']}"
    written = model.generate(**tokenizer(prompt, return_tensors="pt"))
    predictions = json.loads((run_folder / "predictions.json").read_text(encoding="utf-8"))
    assert tokenizer.decode(written[0], skip_special_tokens=True) == predictions[row["id"]]
    assert model.generation_config.max_new_tokens == 32
    config = json.loads((folder / "config.json").read_text())
    held = config["task_specific_params"]["generative_qa"]
    assert held["prompt"] == "question: {question} context: {context}"
    assert (held["max_length"], held["doc_stride"]) == (512, 128)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: text2text-generation" in card
    assert "| prompt | question: " in card
