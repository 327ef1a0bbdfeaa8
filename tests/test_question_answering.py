"""Questions from file to answer: the command, the exported folder, one process and two."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForQuestionAnswering

from lit_hf import ExtractiveQA, Predictor
from tests.commands import output_of
from tests.official_squad import evaluate

Rows = list[dict[str, Any]]
RECIPE = Path(__file__).parent.parent / "configs" / "extractive_qa" / "squad_v2.yaml"


@pytest.fixture(scope="module")
def rows() -> Rows:
    contexts = [
        "Ada sold the old mill by the river in 1921. Her brother kept the ferry until 1930.",
        " ".join(f"Boat {n} left the harbour at {n} o'clock." for n in range(30)),
    ]
    asked: list[tuple[int, str, list[str]]] = [
        (0, "Who sold the mill?", ["Ada"]),
        (0, "When was it sold?", ["in 1921", "1921"]),
        (1, "When did boat 3 leave?", ["3 o'clock"]),
        (1, "When did boat 23 leave?", ["at 23 o'clock"]),
        (0, "Who bought the ferry?", []),
    ]
    return [
        {"id": f"q{n}", "question": question, "context": contexts[c], "answers": answers}
        for n, (c, question, answers) in enumerate(asked)
    ]


@pytest.fixture(scope="module")
def run_folder(tiny_model: str, rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch, then scored and predicted, all by the command."""
    folder = tmp_path_factory.mktemp("questions")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file, run = str(folder / "rows.jsonl"), str(folder / "run")
    copy = shutil.copy(file, folder / "copy.jsonl")
    shown = output_of(
        *("fit", "--config", str(RECIPE), "--model.model_name", tiny_model),
        *("--data.train_file", file, "--data.val_file", str(copy), "--data.batch_size", "2"),
        *("--data.max_length", "64", "--data.doc_stride", "16", "--samples.every_n_steps", "1"),
        *("--trainer.default_root_dir", run, "--trainer.max_epochs", "1"),
        *("--trainer.accelerator", "cpu"),
    )
    assert "Who sold the mill?" in shown
    output_of("validate", "--run", run)
    output_of("predict", "--run", run, "--data.predict_file", file)
    return folder / "run"


def _lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_run__holds_the_files_of_the_task(run_folder: Path, rows: Rows) -> None:
    predictions = json.loads((run_folder / "predictions.json").read_text(encoding="utf-8"))
    answers = _lines(run_folder / "predictions.jsonl")
    assert list(predictions) == [row["id"] for row in answers] == [row["id"] for row in rows]
    assert predictions == {row["id"]: row["prediction"] for row in answers}
    results = json.loads((run_folder / "results.json").read_text(encoding="utf-8"))
    scores = results["validate"]
    assert scores.keys() == results["fit"]["best"].keys() - {"monitor", "best_score"}
    assert scores["num_examples"] == 5
    wanted = evaluate(predictions, {row["id"]: row["answers"] for row in rows})
    assert scores["exact_match"] == pytest.approx(wanted["exact"], abs=1e-6)
    assert scores["f1"] == pytest.approx(wanted["f1"], abs=1e-6)
    assert scores["best_f1"] >= scores["f1"]
    panels = {row["panel"] for row in _lines(run_folder / "samples.jsonl")}
    assert panels == {"train", "fixed", "worst"}


@pytest.mark.parametrize("source", ["pretrained", "checkpoints/last.ckpt"])
def test_predictor__answers_as_the_command_does(run_folder: Path, rows: Rows, source: str) -> None:
    predictor = Predictor.from_pretrained(run_folder / source)
    wanted = _lines(run_folder / "predictions.jsonl")
    for batch_size in (1, 64):
        answers = predictor(rows, batch_size=batch_size)
        for answer, row in zip(answers, wanted, strict=True):
            assert (answer["prediction"], answer["start"]) == (row["prediction"], row["start"])
            for name in ("probability", "margin", "no_answer_probability"):
                assert answer[name] == pytest.approx(row[name], abs=1e-4)
    (one,) = predictor(question=rows[0]["question"], context=rows[0]["context"])
    assert one["prediction"] == wanted[0]["prediction"]
    assert predictor(rows[0]["question"], rows[0]["context"]) == [one]
    both = predictor(question="Who?", context=[row["context"] for row in rows[1:3]])
    assert len(both) == 2
    asked, contexts = ([row[name] for row in rows] for name in ("question", "context"))
    assert predictor(asked, contexts) == answers


def test_export__loads_in_plain_transformers_with_the_same_logits(
    run_folder: Path, rows: Rows
) -> None:
    plain = AutoModelForQuestionAnswering.from_pretrained(run_folder / "pretrained")
    predictor = Predictor.from_pretrained(run_folder / "pretrained")
    tokens = predictor.tokenizer(rows[0]["question"], rows[0]["context"], return_tensors="pt")
    with torch.no_grad():
        wanted = plain(**tokens)
        got = predictor.module(tokens)
    assert torch.allclose(got.start_logits, wanted.start_logits, atol=1e-5)
    card = (run_folder / "pretrained" / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: question-answering" in card
    assert "predictor" in card.lower()
    config = json.loads((run_folder / "pretrained" / "config.json").read_text())
    held = config["task_specific_params"]["extractive_qa"]
    best = next(run_folder.glob("checkpoints/epoch*.ckpt"))
    module = ExtractiveQA.load_from_checkpoint(best, weights_only=True)
    assert held["no_answer_threshold"] == module.threshold
    assert (held["max_length"], held["doc_stride"]) == (64, 16)
