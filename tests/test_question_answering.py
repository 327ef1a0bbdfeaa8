"""Questions from file to answer: the command, the exported folder, one process and two."""

import json
import runpy
import shutil
import warnings
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from lit_hf import AnswerScore, ExtractiveQA, ExtractiveQADataModule, InputError, Predictor
from lit_hf.batches import SpanBatch, SpanOutput
from lit_hf.modules.decoding.spans import decode_spans, predict_extracts
from tests.commands import output_of
from tests.official_squad import evaluate
from tests.processes import run_script

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


def test_predictor__wants_question_and_context(run_folder: Path) -> None:
    predictor = Predictor.from_pretrained(run_folder / "pretrained")
    for context in (None, 5):
        wrong: Any = context
        with pytest.raises(InputError, match=r"`question` with `context` .* a text or a list"):
            predictor(question="Who?", context=wrong)
    with pytest.raises(InputError, match="items, or `question` with `context`, not both"):
        predictor(["x"], question="Who?", context="Ada did.")


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


SCRIPT = """
import json, sys, warnings
from pathlib import Path
import lightning.pytorch as pl
import torch
from lit_hf import ExtractiveQA, ExtractiveQADataModule

def run(folder, devices):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = [json.loads(line) for line in Path(folder, "rows.jsonl").read_text().splitlines()]
    trainer = pl.Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto",
        logger=False, enable_progress_bar=False, enable_model_summary=False, precision="64-true",
        default_root_dir=folder,
    )
    found = {}
    for num_rows in (1, 5, 7):
        part = [{**rows[n % 5], "id": str(n)} for n in range(num_rows)]
        data = ExtractiveQADataModule(f"{folder}/model", max_length=64, doc_stride=16,
                                      eval_batch_size=2)
        torch.manual_seed(0)
        module = ExtractiveQA(f"{folder}/model", no_answer_threshold=0.0, pretrained=False,
                              config_overrides={"initializer_range": 0.4})
        (scores,) = trainer.validate(module, data.with_rows(val=part), verbose=False)
        found[num_rows] = {name: float(value) for name, value in scores.items()}
    Path(folder, f"found-{devices}-{trainer.global_rank}.json").write_text(json.dumps(found))

if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
"""


def test_validate__with_two_processes_tells_the_same_as_with_one(
    tiny_model: str, rows: Rows, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "model").symlink_to(tiny_model)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    run_script(script, str(tmp_path), "2")
    with warnings.catch_warnings():
        runpy.run_path(str(script))["run"](str(tmp_path), 1)
    one, *two = (
        cast("dict[str, dict[str, float]]", json.loads((tmp_path / name).read_text()))
        for name in ("found-1-0.json", "found-2-0.json", "found-2-1.json")
    )
    for num_rows in ("1", "5", "7"):
        assert one[num_rows]["val/num_examples"] == int(num_rows)
        for found in two:
            assert found[num_rows] == pytest.approx(one[num_rows], abs=1e-6, nan_ok=True)


@pytest.fixture
def letters(tiny_model: str, tmp_path: Path) -> str:
    """A folder of a model whose tokens are single characters, as answers in Korean end anywhere."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "이": 3}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    folder = tmp_path / "letters"
    shutil.copytree(tiny_model, folder)
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # has no types
        tokenizer_object=tokenizer,
        pad_token="[SEP]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=512,
    ).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 512}))
    return str(folder)


def test_korquad__answered_with_its_own_answers_scores_full(real_data: Path, letters: str) -> None:
    """Through rows, windows, spans and metric, with logits that point at the labels."""
    path = str(real_data / "korquad" / "KorQuAD_v1.0_dev.json")
    data = ExtractiveQADataModule(
        letters, val_file=path, max_length=512, doc_stride=128, eval_batch_size=32
    )
    score = AnswerScore("ko")
    for loaded in data.val_dataloader():
        batch = cast("SpanBatch", loaded)
        windows = torch.arange(len(batch["input_ids"]))
        starts, ends = torch.zeros(2, *batch["input_ids"].shape)
        held = (batch["first_token"] != batch["no_answer_token"]).float() * 9
        starts[windows, batch["first_token"]] = held
        ends[windows, batch["last_token"]] = held
        output = {"windows": windows, "start_logits": starts, "end_logits": ends}
        found = decode_spans(batch, cast("SpanOutput", output), longest=110, num_best=1)
        answers = [str(row["prediction"]) for row in predict_extracts(found, None)]
        score.update(answers, batch["answers"])
    values = {name: float(value) for name, value in score.compute().items()}
    assert values == {"exact_match": 100.0, "f1": 100.0, "num_examples": 5774.0}


def test_predictor__reads_special_tokens_in_texts_as_text(tiny_model: str, rows: Rows) -> None:
    """As the data does, also by a tokenizer that the user has loaded, which stays as it was."""
    context = f"The [CLS] mark. {rows[2]['context']} And [SEP] ends it."
    row = {"id": "0", "question": "Does [SEP] end?", "context": context, "answers": ["[SEP]"]}
    data = ExtractiveQADataModule(tiny_model, max_length=64, doc_stride=16).with_rows(predict=[row])
    torch.manual_seed(0)
    module = ExtractiveQA(tiny_model, pretrained=False, config_overrides={"initializer_range": 0.4})
    module.configure_model()
    batch = next(iter(data.predict_dataloader()))
    own = AutoTokenizer.from_pretrained(tiny_model)
    predictor = Predictor(module, own, {"max_length": 64, "doc_stride": 16})
    with torch.inference_mode():
        (wanted,) = predictor.module.predict_step(batch, 0)
    (answer,) = predictor([row])
    assert answer["n_best"] == wanted["n_best"]
    assert own("a [SEP]")["input_ids"].count(own.sep_token_id) == 2
