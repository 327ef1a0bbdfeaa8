"""Two processes tell the same as one: each example counts once, whatever the number of rows.

A small script is run once with two gloo processes, and its function once more in this process with
one; the tests compare what both wrote down.
"""

import json
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from tests.processes import run_script

Scores = dict[str, float]
BATCH, LIMIT = 4, 3
CASES: list[tuple[str, int]] = [
    *((problem, number) for problem in ("image", "single_label") for number in (1, 5, 7, 101)),
    *((problem, number) for problem in ("regression", "multi_label") for number in (7, 101)),
]

SCRIPT = """
import json
import random
import sys
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch.optim import SGD

from lit_hf import (
    ImageClassificationDataModule,
    ImageClassifier,
    MeanHead,
    TextClassificationDataModule,
    TextClassifier,
)

NAMES = ["a", "b", "c"]
IMAGE_NAMES = list("abcdefg")  # seven: with five or less there is no top-5 accuracy
WORDS = "fire flood storm quake song movie game news people street old new".split()


def rows_of(problem, num_rows):
    draw = random.Random(num_rows)
    rows = []
    for number in range(num_rows):
        if problem == "image":
            pixels = torch.tensor(draw.choices(range(256), k=192), dtype=torch.uint8)
            label = draw.choice(IMAGE_NAMES)
            image = pixels.view(8, 8, 3).numpy()
            rows.append({"name": f"row {number}", "image": image, "label": label})
            continue
        text = " ".join(draw.choices(WORDS, k=draw.randint(2, 12)))
        if problem == "single_label":
            label = NAMES[number % 3] if number < 3 else draw.choice(NAMES)
        elif problem == "multi_label":
            label = draw.sample(NAMES, draw.randint(0, 3))
        else:
            label = round(draw.random() * 5, 1)
        rows.append({"name": f"row {number}", "text": text, "label": label})
    return rows


def data_of(folder, problem, rows, batch_size):
    sizes = {"id_column": "name", "batch_size": 2, "eval_batch_size": batch_size}
    if problem == "image":
        data = ImageClassificationDataModule(f"{folder}/image", label_names=IMAGE_NAMES, **sizes)
        return data.with_rows(train=rows, val=rows, test=rows, predict=rows)
    names = None if problem == "regression" else NAMES
    data = TextClassificationDataModule(
        f"{folder}/{problem}",
        label_names=names,
        problem_type=problem,
        **sizes,
    )
    return data.with_rows(train=rows, val=rows, test=rows, predict=rows)


def module_of(folder, problem, **settings):
    if problem == "image":
        return ImageClassifier(f"{folder}/image", **settings)
    names = None if problem == "regression" else NAMES
    return TextClassifier(f"{folder}/{problem}", names, problem, **settings)


def plain(scores):
    return {name: float(value) for name, value in scores.items()}


def run(folder, devices, cases, batch_size, limit):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of Lightning, on workers and unsynchronised logging
    options = dict(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        precision="64-true",  # so that how rows are batched and padded changes no rank
        default_root_dir=folder,
    )
    found = {}
    trainer = pl.Trainer(**options)
    for problem, num_rows in cases:
        data = data_of(folder, problem, rows_of(problem, num_rows), batch_size)
        module = module_of(folder, problem)
        (scores,) = trainer.validate(module, data, verbose=False)
        found[f"{problem} {num_rows}"] = plain(scores)
    (scores,) = trainer.test(module, data, verbose=False)
    found["test"] = plain(scores)

    limited = pl.Trainer(**options, limit_val_batches=limit)
    for problem in ("single_label", "image"):
        for num_rows in (1, 7):
            data = data_of(folder, problem, rows_of(problem, num_rows), batch_size)
            batches = trainer.predict(module_of(folder, problem), data)
            rows = [row for batch in batches for row in batch]
            found[f"predict {problem} {num_rows}"] = rows
        data = data_of(folder, problem, rows_of(problem, 101), batch_size)
        (scores,) = limited.validate(module_of(folder, problem), data, verbose=False)
        found[f"limited {problem}"] = plain(scores)

    # A sanity check before, and a step that changes nothing: the numbers of a plain validation.
    for head in (None, MeanHead):
        fit = pl.Trainer(**options, num_sanity_val_steps=2, max_epochs=1)
        data = data_of(folder, "single_label", rows_of("single_label", 7), batch_size)
        module = module_of(
            folder,
            "single_label",
            head=head,
            optimizer=lambda params: SGD(params, lr=0.0),
            scheduler="constant",
            warmup_ratio=0.0,
        )
        fit.fit(module, data)
        scores = {k: v for k, v in fit.callback_metrics.items() if k.startswith("val/")}
        found["fit" if head is None else "fit own head"] = plain(scores)
    Path(folder, f"found-{devices}-{trainer.global_rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    run(sys.argv[1], 2, json.loads(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
"""


@dataclass(frozen=True)
class Found:
    """What one process and what the two processes found, and where their models lie."""

    one: dict[str, Any]
    two: list[dict[str, Any]]
    folder: Path


@pytest.fixture(scope="module")
def found(tiny_model: str, tiny_vit: str, tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("exactness")
    sizes = {"single_label": 3, "multi_label": 3, "regression": 1, "image": 7}
    for problem, num_labels in sizes.items():
        torch.manual_seed(4)
        source, auto = {
            "image": (tiny_vit, AutoModelForImageClassification),
        }.get(problem, (tiny_model, AutoModelForSequenceClassification))
        model = auto.from_pretrained(
            source, num_labels=num_labels, id2label=dict(enumerate("abcdefg"[:num_labels]))
        )
        with torch.no_grad():  # a model with opinions: no two answers are alike
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.mul_(10)
        model.save_pretrained(folder / problem)
        for path in [*Path(source).glob("*token*"), *Path(source).glob("*processor*")]:
            (folder / problem / path.name).write_bytes(path.read_bytes())
    script = folder / "two_processes.py"
    script.write_text(SCRIPT, encoding="utf-8")
    words = [str(folder), json.dumps(CASES), str(BATCH), str(LIMIT)]
    run_script(script, *words)
    threads = torch.get_num_threads()
    runpy.run_path(str(script))["run"](str(folder), 1, CASES, BATCH, LIMIT)
    torch.set_num_threads(threads)
    one, *two = (
        json.loads((folder / f"found-{name}.json").read_text()) for name in ("1-0", "2-0", "2-1")
    )
    return Found(one, two, folder)


def _same(got: Scores, want: Scores) -> None:
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert got[name] == pytest.approx(value, abs=2e-6, rel=2e-6, nan_ok=True), name


@pytest.mark.parametrize(("problem", "num_rows"), CASES)
def test_validate__with_two_processes_tells_the_same_as_with_one(
    found: Found, problem: str, num_rows: int
) -> None:
    case = f"{problem} {num_rows}"
    for process in found.two:
        _same(process[case], found.one[case])
        assert process[case]["val/num_examples"] == num_rows


def test_test__with_two_processes_tells_the_same_as_with_one(found: Found) -> None:
    problem, num_rows = CASES[-1]
    want = {k.replace("val/", "test/"): v for k, v in found.one[f"{problem} {num_rows}"].items()}
    for process in (found.one, *found.two):
        _same(process["test"], want)


@pytest.mark.parametrize("problem", ["single_label", "image"])
@pytest.mark.parametrize("num_processes", [1, 2])
def test_limit__tells_the_scores_of_exactly_the_rows_evaluated(
    found: Found, num_processes: int, problem: str
) -> None:
    scores = (found.one if num_processes == 1 else found.two[0])[f"limited {problem}"]
    num_rows = BATCH * LIMIT * num_processes  # rows are dealt in turn, so it is the first ones
    assert scores["val/num_examples"] == num_rows
    script = runpy.run_path(str(found.folder / "two_processes.py"))
    rows = script["rows_of"](problem, 101)[:num_rows]
    data = script["data_of"](str(found.folder), problem, rows, num_rows)
    module = script["module_of"](str(found.folder), problem)
    module.label_names = data.label_names
    module.model.double()
    module.train(False)
    (batch,) = cast("list[dict[str, torch.Tensor]]", list(data.val_dataloader()))
    batch = data.on_after_batch_transfer(batch, 0)
    with torch.no_grad():
        logits = module(batch).logits.double()
    labels = batch["labels"]
    assert len(labels) == num_rows
    want = {
        "val/accuracy": accuracy_score(labels, logits.argmax(1)),
        "val/f1": f1_score(labels, logits.argmax(1), average="macro"),
        "val/loss": float(torch.nn.functional.cross_entropy(logits, labels)),
        "val/num_examples": num_rows,
    }
    if problem == "image":
        best = logits.topk(5).indices
        want["val/accuracy_top5"] = float((best == labels[:, None]).any(1).double().mean())
        assert 0 < want["val/accuracy_top5"] < 1
    else:
        probabilities = logits.softmax(1)
        want["val/f1_micro"] = f1_score(labels, logits.argmax(1), average="micro")
        want["val/auroc"] = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert scores == pytest.approx(want, abs=2e-6)


@pytest.mark.parametrize("num_processes", [1, 2])
def test_sanity_check__does_not_leak_into_the_scores(found: Found, num_processes: int) -> None:
    process = found.one if num_processes == 1 else found.two[0]
    _same(process["fit"], found.one["single_label 7"])
    assert process["fit own head"]["val/num_examples"] == 7


@pytest.mark.parametrize("problem", ["single_label", "image"])
@pytest.mark.parametrize("num_rows", [1, 7])
def test_predict__with_two_processes_gives_each_row_exactly_once(
    found: Found, num_rows: int, problem: str
) -> None:
    case = f"predict {problem} {num_rows}"
    together = [row for process in found.two for row in process[case]]
    want = found.one[case]
    assert [row["index"] for row in want] == list(range(num_rows))
    together.sort(key=lambda row: cast("int", row["index"]))
    assert [row["index"] for row in together] == list(range(num_rows))
    assert [row["id"] for row in together] == [f"row {number}" for number in range(num_rows)]
    for row, other in zip(together, want, strict=True):
        assert row["id"] == other["id"]
        assert row["prediction"] == other["prediction"]
        assert row["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
