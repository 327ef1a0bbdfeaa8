"""The example of a task of one's own, from the command line to answers, by public names alone."""

import ast
import json
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

from lit_hf import (
    HFModule,
    InputError,
    Predictor,
    SampleLogger,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.model_folder import export_checkpoint
from lit_hf.pretrained.models import Auto
from tests.commands import run_command
from tests.example import EXAMPLE, ROOT, ROWS, example_rows, load_example
from tests.processes import run_script
from tests.stopped_trainings import digest_of
from tests.trainers import quiet_trainer

NUM_STEPS = 12  # of two epochs
IMPORT = ("--import", str(EXAMPLE))
ENDING = '''
"""Ends the process once, by a signal, before a training step."""
import os
import signal
from pathlib import Path

from lightning.pytorch import Callback


class EndAt(Callback):
    def __init__(self, step: int, flag: str) -> None:
        self.step, self.flag = step, flag

    def on_train_batch_start(self, trainer, *_):
        flag = Path(self.flag)
        if trainer.global_step == self.step and flag.exists():
            name = flag.read_text()
            flag.unlink()
            os.kill(os.getpid(), signal.Signals[name])
'''


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The module of the example, as `--import` names it."""
    return load_example()


def _fit_words(model: str, run: Path, *more: str) -> list[str]:
    return [
        *("fit", *IMPORT, "--model", "TokenClassifier", "--model.model_name", model),
        *("--data", "TokenClassificationDataModule", "--data.train_file", str(ROWS)),
        *("--data.batch_size", "8", "--trainer.max_epochs", "2", "--samples.every_n_steps", "4"),
        *("--trainer.default_root_dir", str(run), "--trainer.accelerator", "cpu"),
        *("--trainer.logger", "false", *more),
    ]


def _weights(run: Path) -> str:
    path = run / "checkpoints" / "last.ckpt"
    return digest_of(torch.load(path, weights_only=True)["state_dict"])


@pytest.fixture(scope="module")
def run(tiny_model: str, tmp_path_factory: pytest.TempPathFactory, example: ModuleType) -> Path:
    """A run of the example by the command line."""
    folder = tmp_path_factory.mktemp("example") / "run"
    more = ("--checkpoint.monitor", "val/f1", "--model.optimizer.lr", "0.002")
    done = run_command(*_fit_words(tiny_model, folder, *more), folder=folder.parent)
    assert done.returncode == 0, done.stderr
    return folder


def test_example__is_one_short_file_of_public_names() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250
    tree = ast.parse(text)
    names = {
        name
        for node in ast.walk(tree)
        for name in (
            [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            if isinstance(node, ast.Import | ast.ImportFrom)
            else [node.attr]
            if isinstance(node, ast.Attribute)
            else [node.name]
            if isinstance(node, ast.FunctionDef)
            else []
        )
    }
    private = [n for n in names for part in n.split(".") if part.startswith("_")]
    assert {*private} <= {"__init__"}


def test_fit__shows_samples_in_brackets_and_names_the_best(run: Path) -> None:
    lines = (run / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    samples = [json.loads(line) for line in lines]
    assert {sample["panel"] for sample in samples} == {"train", "fixed", "worst"}
    assert any(" PER]" in sample["truth"] for sample in samples)
    for sample in samples:
        assert sample["truth"].replace("[", "").split()[0] == sample["input"].split()[0]
        assert sample["correct"] == (sample["prediction"] == sample["truth"])
        assert 0 < sample["probability"] <= 1
        assert sample["loss"] > 0
    (best,) = [path for path in (run / "checkpoints").glob("*.ckpt") if path.stem != "last"]
    kept = torch.load(best, weights_only=True)["lit_hf"]
    assert kept["class"] == "token_classification.TokenClassifier"
    assert {"val/precision", "val/recall", "val/f1", "val/loss"} <= {*kept["metrics"]}


def test_validate_and_predict__take_the_run(run: Path, tmp_path: Path) -> None:
    rows = [{"id": f"s{n}", "tokens": row["tokens"]} for n, row in enumerate(example_rows()[:9])]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    # From the folder of the example its name does as well as its file.
    words = ("--import", "token_classification")
    done = run_command("validate", "--run", str(run), *words, folder=EXAMPLE.parent)
    assert done.returncode == 0, done.stderr
    best = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert "val/f1" in json.dumps(best)
    words_of_predict = ("predict", "--run", str(run), *IMPORT, "--data.predict_file", str(file))
    done = run_command(*words_of_predict, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (run / "predictions.jsonl").read_text(encoding="utf-8")
    written = [json.loads(line) for line in text.splitlines()]
    assert [answer["id"] for answer in written] == [row["id"] for row in rows]
    for answer, row in zip(written, rows, strict=True):
        assert len(answer["prediction"]) == len(row["tokens"])
        for entity in answer["entities"]:
            words_of = row["tokens"][entity["start"] : entity["end"]]
            assert entity["text"] == " ".join(words_of)
    assert not {*run.glob("submission.csv"), *run.glob("predictions.json")}  # the hook names none
    (best_path,) = [p for p in (run / "checkpoints").glob("*.ckpt") if p.stem != "last"]
    sentences = [row["tokens"] for row in rows]
    for path in (run / "pretrained", best_path):
        _same_answers(Predictor.from_pretrained(path)(sentences), written)
    one = Predictor.from_pretrained(run / "pretrained")
    assert one("Ada Kim left .") == one([{"tokens": ["Ada", "Kim", "left", "."]}])
    with pytest.raises(InputError, match="item 0: no column 'tokens'; found"):
        one({"text": "Ada"})
    with pytest.raises(InputError, match="item 1: `tokens` are no list of words"):
        one([["Ada"], [3]])  # type: ignore[list-item]  # which no type allows


def _same_answers(ours: list[Any], written: list[dict[str, Any]]) -> None:
    for answer, line in zip(ours, written, strict=True):
        assert answer["prediction"] == line["prediction"]
        assert answer["entities"] == line["entities"]
        assert answer["probability"] == pytest.approx(line["probability"], abs=1e-5)


def test_export__asks_for_the_class_in_one_line(run: Path, tmp_path: Path) -> None:
    path = str(run / "checkpoints" / "last.ckpt")
    command = [sys.executable, "-m", "lit_hf", "export", path, str(tmp_path / "out")]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert found.returncode == 2
    (line,) = found.stderr.splitlines()
    assert "the class token_classification.TokenClassifier" in line
    assert "Give `--import token_classification`" in line
    assert not (tmp_path / "out").exists()
    done = run_command("export", path, str(tmp_path / "out"), *IMPORT, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["BertForTokenClassification"]
    assert [*config["id2label"].values()][:3] == ["O", "B-PER", "I-PER"]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: token-classification" in card
    blocks = card.split("```python\n")[1:]
    assert len(blocks) == 2
    (tmp_path / "here").mkdir()
    shutil.copy(EXAMPLE, tmp_path / "here")
    for block in blocks:  # as they stand, in the folder of the card
        code = block.partition("```")[0].replace('"."', repr(str(tmp_path / "out")))
        exec(compile(code, "card", "exec"), {})


@pytest.mark.slow
def test_fit__killed_and_started_again_ends_with_the_same_weights(
    tiny_model: str, tmp_path: Path
) -> None:
    (tmp_path / "ending.py").write_text(ENDING)
    flag = tmp_path / "flag"
    step = str(random.SystemRandom().randrange(1, NUM_STEPS))

    def started(run: str, ended_by: str | None = None) -> int:
        if ended_by is not None:
            flag.write_text(ended_by)
        words = _fit_words(
            *(tiny_model, tmp_path / run, "--import", str(tmp_path / "ending.py")),
            *("--trainer.callbacks+=ending.EndAt", "--trainer.callbacks.flag", str(flag)),
            *("--trainer.callbacks.step", step),
            *("--export.folder_name", "null", "--samples.num_samples", "2"),
        )
        command = [sys.executable, "-m", "lit_hf", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300).returncode

    assert started("whole") == 0
    assert started("stopped", ended_by="SIGKILL") == -signal.SIGKILL
    assert started("stopped", ended_by="SIGTERM") == 143  # it has gone on from the epoch before
    assert not flag.exists()
    assert started("stopped") == 0
    assert _weights(tmp_path / "whole") == _weights(tmp_path / "stopped"), f"stopped at {step}"
    whole, stopped = (
        (tmp_path / run / "samples.jsonl").read_text(encoding="utf-8")
        for run in ("whole", "stopped")
    )
    assert whole == stopped


def _spans(tags: list[str]) -> set[tuple[int, int, str]]:
    """Entities found in another way: by where one begins, then where its row of I- ends."""
    found = set()
    for start, tag in enumerate(tags):
        kind = tag[2:]
        before = tags[start - 1] if start else "O"
        if tag == "O" or (tag[0] == "I" and before[2:] == kind):
            continue
        end = start + 1
        while end < len(tags) and tags[end] == f"I-{kind}":
            end += 1
        found.add((start, end, kind))
    return found


def _span_scores(pairs: Iterable[tuple[Any, Any]]) -> dict[str, float]:
    """Precision, recall and F1 over pairs of predicted and right tags."""
    counts = [(len(p & t), len(p), len(t)) for p, t in (map(_spans, pair) for pair in pairs)]
    right, predicted, true = map(sum, zip(*counts, strict=True))
    precision, recall = right / predicted, right / true
    f1 = 2 * precision * recall / (precision + recall)
    return {"precision": precision, "recall": recall, "f1": f1}


def test_entity_score__agrees_with_another_computation(example: ModuleType) -> None:
    draw = random.Random(0)
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    pairs = [
        (draw.choices(names, k=length), draw.choices(names, k=length))
        for length in draw.choices(range(1, 12), k=300)
    ]
    metric = example.EntityScore()
    for start in range(0, 300, 50):
        metric.update(*zip(*pairs[start : start + 50], strict=True))
    scores = {name: float(value) for name, value in metric.compute().items()}
    assert scores == pytest.approx(_span_scores(pairs))
    metric.reset()
    metric.update([["O"]], [["O"]])  # nothing to find
    assert float(metric.compute()["f1"]) == 0


def test_loss__is_the_mean_over_labelled_tokens(tiny_model: str, example: ModuleType) -> None:
    data = example.TokenClassificationDataModule(tiny_model, batch_size=7, val_fraction=0)
    data.with_rows(train=example_rows()[:7])
    data.setup("fit")
    module = example.TokenClassifier(tiny_model, label_names=data.label_names).eval()
    batch = next(iter(data.train_dataloader()))
    step = module.step(batch, "train")
    theirs = module.model(**{n: batch[n] for n in module.input_names}, labels=batch["labels"]).loss
    assert torch.allclose(step["loss"], theirs)
    assert float(step["weight"]) == sum(map(len, batch["words"]))
    assert step["losses"].shape == (7,)
    own = step["losses"] * torch.tensor([len(words) for words in batch["words"]])
    assert torch.allclose(own.sum() / step["weight"], theirs)


def test_encode_rows__labels_the_first_token_of_each_word(
    tiny_model: str, example: ModuleType
) -> None:
    data = example.TokenClassificationDataModule(tiny_model, max_length=12)
    words = ["unbelievably", "Ada", "x" * 30]
    encoded = data.encode_rows({"words": [words], "tags": [["O", "B-PER", "B-LOC"]]})
    numbers, labels = encoded["number_of_word"][0], encoded["labels"][0]
    assert len(encoded["input_ids"][0]) == len(numbers) == len(labels) <= 12
    assert [number for number in numbers if number >= 0] == [0, 1, 2][: len({*numbers} - {-1})]
    assert labels[1] == 0
    assert [label for label in labels if label != -100] == [0, 1, 3][: len({*numbers} - {-1})]
    module = example.TokenClassifier(tiny_model, label_names=data.label_names).eval()
    predictor = Predictor(module, data.processor, {"data": None, "max_length": 6})
    (answer,) = predictor([["Ada", *["word"] * 20]])
    assert len(answer["prediction"]) == 21  # type: ignore[arg-type]  # a list of tags
    assert answer["prediction"][-9:] == ["O"] * 9  # type: ignore[index]  # cut off


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"tokens": ["a"]}, "there is no column 'tags'"),
        ({"tokens": ["a"], "tags": ["O", "O"]}, "`tags` are not as many as `tokens`"),
        ({"tokens": ["a"], "tags": ["B-DOG"]}, "the tag 'B-DOG' is none of O, B-PER"),
        ({"tokens": [], "tags": []}, "`tokens` are no list of words"),
    ],
)
def test_bad_rows__are_reported_before_training(
    tiny_model: str, example: ModuleType, row: dict[str, object], fault: str
) -> None:
    data = example.TokenClassificationDataModule(tiny_model).with_rows(
        train=[*example_rows()[:3], row]
    )
    with pytest.raises(InputError, match="rows given as train") as caught:
        data.setup("fit")
    assert fault in str(caught.value)
    assert "row 4" in str(caught.value)


TWO = """
import json, sys
sys.path.insert(0, {examples!r})
import lightning.pytorch as pl
import token_classification as own
from pathlib import Path

if __name__ == "__main__":
    model, folder = sys.argv[1:]
    rows = [json.loads(line) for line in open({rows!r}, encoding="utf-8")]
    pl.seed_everything(0, verbose=False)
    data = own.TokenClassificationDataModule(model, eval_batch_size=4).with_rows(val=rows[:11])
    module = own.TokenClassifier(model, label_names=data.label_names)
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", logger=False, barebones=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        default_root_dir=folder, use_distributed_sampler=False,
    )
    (found,) = trainer.validate(module, data, verbose=False)
    if trainer.is_global_zero:
        Path(folder, "two.json").write_text(json.dumps(found))
"""


@pytest.mark.slow
def test_entity_f1__is_equal_on_one_and_on_two_processes(
    tiny_model: str, tmp_path: Path, example: ModuleType
) -> None:
    import lightning.pytorch as pl

    script = tmp_path / "two.py"
    script.write_text(TWO.format(examples=str(EXAMPLE.parent), rows=str(ROWS)))
    run_script(script, tiny_model, str(tmp_path))
    two = json.loads((tmp_path / "two.json").read_text())
    pl.seed_everything(0, verbose=False)
    data = example.TokenClassificationDataModule(tiny_model, eval_batch_size=4)
    rows = example_rows()[:11]
    data.with_rows(val=rows)
    module = example.TokenClassifier(tiny_model, label_names=data.label_names)
    (one,) = quiet_trainer(default_root_dir=tmp_path).validate(module, data, verbose=False)
    assert one["val/num_examples"] == two["val/num_examples"] == 11
    for name in ("val/precision", "val/recall", "val/f1"):
        assert one[name] == two[name]
    assert one["val/loss"] == pytest.approx(two["val/loss"])
    answers = Predictor(module, data.processor)([row["tokens"] for row in rows])
    pairs = [(answer["prediction"], row["tags"]) for answer, row in zip(answers, rows, strict=True)]
    wanted = {f"val/{name}": score for name, score in _span_scores(pairs).items()}
    assert wanted["val/f1"] > 0
    assert {name: one[name] for name in wanted} == pytest.approx(wanted)


class Deeper:
    """A layer more below the last one of a model of transformers."""

    classifier: nn.Module

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)  # type: ignore[call-arg]  # of the other base
        width = int(config.hidden_size)
        self.classifier = nn.Sequential(nn.Linear(width, width), nn.Tanh(), self.classifier)
        self.post_init()  # type: ignore[attr-defined]  # of the other base


class DeepBert(Deeper, BertForSequenceClassification):  # type: ignore[misc,no-untyped-call]  # of transformers
    """A classifier of texts with a layer more."""


class DeepBertOfTokens(Deeper, BertForTokenClassification):  # type: ignore[misc,no-untyped-call]  # of transformers
    """A classifier of tokens with a layer more."""


class DeepClassifier(TextClassifier):
    """Its module, which says nothing but that."""

    auto_class: Auto = DeepBert


def _trained(module: HFModule, data: Any, folder: Path) -> Path:  # noqa: ANN401 - of any task
    trainer = quiet_trainer(
        max_epochs=1, default_root_dir=folder, callbacks=[LastCheckpoint(), SampleLogger(2, 2)]
    )
    trainer.fit(module, data)
    return folder / "checkpoints" / "last.ckpt"


def test_subclass_with_a_layer_more__exports_and_answers_by_its_class(
    tiny_model: str, tmp_path: Path, tweet_rows: list[dict[str, object]]
) -> None:
    data = TextClassificationDataModule(tiny_model, label_names=["no", "yes"], batch_size=4)
    data.with_rows(train=tweet_rows, val=tweet_rows)
    module = DeepClassifier(tiny_model, label_names=["no", "yes"])
    _assert_keeps_its_class(module, data, "fire in town", tmp_path)


def test_subclass_of_the_example__exports_and_answers_by_its_class(
    tiny_model: str, tmp_path: Path, example: ModuleType
) -> None:
    class DeepTagger(example.TokenClassifier):  # type: ignore[misc,name-defined]  # found at run time
        auto_class = DeepBertOfTokens

    data = example.TokenClassificationDataModule(tiny_model, batch_size=8)
    data.with_rows(train=example_rows()[:16], val=example_rows()[16:24])
    module = DeepTagger(tiny_model, label_names=data.label_names)
    _assert_keeps_its_class(module, data, "Ada Kim moved to Seoul", tmp_path)


def _assert_keeps_its_class(module: HFModule, data: Any, item: str, folder: Path) -> None:  # noqa: ANN401 - of any task
    path = _trained(module, data, folder)
    exported = export_checkpoint(path, folder / "out")
    (expected,) = Predictor(module, data.processor)([item])
    for source in (exported, path):
        predictor = Predictor.from_pretrained(source)
        assert type(predictor.module) is type(module)
        assert type(predictor.module.model) is type(module).auto_class
        (answer,) = predictor([item])
        assert answer["prediction"] == expected["prediction"]
        assert answer["probability"] == pytest.approx(expected["probability"])


def test_compiled_model__is_exported_as_the_plain_one(
    tiny_model: str, tmp_path: Path, example: ModuleType
) -> None:
    data = example.TokenClassificationDataModule(tiny_model, val_fraction=0, batch_size=4)
    data.with_rows(train=example_rows()[:8])
    module = example.TokenClassifier(tiny_model, label_names=data.label_names)
    module.model = torch.compile(module.model, backend="eager")
    path = _trained(module, data, tmp_path)
    folder = export_checkpoint(path, tmp_path / "out")
    answers = [Predictor.from_pretrained(source)("Ada left .") for source in (folder, path)]
    assert answers[0] == answers[1]
    (ours,) = Predictor(module, data.processor)("Ada left .")
    assert ours["probability"] == pytest.approx(answers[0][0]["probability"])


def test_page__commands_run_as_they_stand(
    tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: ModuleType
) -> None:
    page = (ROOT / "docs" / "your_own_task.md").read_text(encoding="utf-8")
    shutil.copytree(EXAMPLE.parent, tmp_path / "examples")
    # The module of another test has the name of this copy.
    monkeypatch.setitem(sys.modules, "token_classification", example)
    (commands,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    text = commands.replace("\\\n", " ").replace("examples/token_classification.py", str(EXAMPLE))
    for line in text.replace("MODEL", tiny_model).splitlines():
        name, *words = line.split()
        assert name == "lit-hf"
        done = run_command(*words, folder=tmp_path)
        assert done.returncode == 0, (line, done.stderr)
    code, collate = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "page", "exec"), {})
    (row,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    found = json.loads(row)
    assert len(found["tokens"]) == len(found["tags"])
    assert example.in_brackets(found["tokens"], found["tags"]) in page
    names: dict[str, Any] = {}
    exec(compile(collate, "page", "exec"), names)
    data = example.TokenClassificationDataModule(tiny_model)
    rows = [[[5] * (n + 1) for n in range(4)], [[6] * 7] * 4]
    masks = [[[1] * len(ids) for ids in row] for row in rows]
    batch = names["collate"](data, {"input_ids": rows, "attention_mask": masks})
    assert batch["input_ids"].shape == (2, 4, 7)
    assert batch["attention_mask"].sum(-1).tolist() == [[1, 2, 3, 4], [7, 7, 7, 7]]
