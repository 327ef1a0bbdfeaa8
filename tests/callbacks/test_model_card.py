import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lit_hf.callbacks.model_card import is_own_card, model_card
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.modules.usage import text_usage
from tests.pipes import filled_pipe, needs_pipes

HOSTILE = "<img src=x onerror=alert(1)> | ![x](http://e.vil)\n# [a](javascript:b) \x1b[31m"


def _checkpoint(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of a checkpoint
    return {
        "lit_hf": {
            "task": "text_classification",
            "version": "9.9",
            "metrics": {"val/f1": 0.80352, "val/num_examples": 15230.0, "train/loss": 0.1},
        },
        "hyper_parameters": {
            "model_name": "org/tiny_bert",
            "label_names": None,
            "problem_type": "single_label",
            "scheduler": "linear",
            "warmup_ratio": 0.1,
            "config_overrides": {"model_type": "bert", "id2label": {"0": "no", "1": "yes"}},
        },
        "global_step": 12,
        "epoch": 3,
        "optimizer_states": [
            {"param_groups": [{"lr": 1e-9, "initial_lr": 2e-5, "weight_decay": 0.01}]}
        ],
        **changes,
    }


def _card(checkpoint: dict[str, Any], data: dict[str, Any], answering: dict[str, object]) -> str:
    return model_card(checkpoint, data, answering, text_usage(data.get("inputs", {})))


DATA: dict[str, Any] = {
    "rows": {"train": 6090, "val": 1523},
    "sources": {"train": ["train.csv"]},
    "max_length": 128,
    "batch_size": 32,
    "weight_column": "importance",
}


def test_card__tells_task_scores_rows_and_settings() -> None:
    card = _card(_checkpoint(), DATA, {})
    for line in [
        r"# org/tiny\_bert, fine-tuned",
        r"Task: text\_classification (single\_label). Base model: org/tiny\_bert (bert).",
        "Classes, in order: no, yes.",
        "| val/f1 | 0.8035 |",
        r"| val/num\_examples | 15230 |",
        "After step 12, epoch 3.",
        "| train | train.csv | 6090 |",
        "| val | set aside | 1523 |",
        "| scheduler | linear |",
        r"| max\_length | 128 |",
        r"| batch\_size | 32 |",
        r"| weight\_column | importance |",
        'classify = pipeline("text-classification", folder, truncation=True)',
        r"| optimizer group 0 | initial\_lr 2e-05, weight\_decay 0.01 |",
        'print(predictor(["a text"]))',
        "Written by lit_hf 9.9.",
    ]:
        assert line in card.splitlines()
    assert "train/loss" not in card


@pytest.mark.parametrize(
    ("validated", "line"),
    [
        (None, "After step 12, epoch 3."),
        (12, "After step 12, epoch 3; the scores are of these weights."),
        (10, "After step 12, epoch 3; only the weights of step 10 were scored, not these."),
    ],
)
def test_card__has_no_scores_of_other_weights(validated: int | None, line: str) -> None:
    checkpoint = _checkpoint()
    checkpoint["lit_hf"]["validated"] = validated
    card = _card(checkpoint, DATA, {})
    assert line in card.splitlines()
    assert ("## Scores" in card) == (validated != 10)


def test_card__of_a_real_run(trained: Path) -> None:
    card = (trained / "pretrained" / "README.md").read_text(encoding="utf-8")
    path = next((trained / "checkpoints").glob("epoch=0*.ckpt"))
    checkpoint = read_checkpoint(path)
    data = checkpoint["TextClassificationDataModule"]["data"]
    assert isinstance(data, dict)
    assert card == _card(checkpoint, data, {})
    assert r"# tiny\_bert, trained from scratch" in card
    assert r"Config: tiny\_bert (bert)" in card
    assert "home-of-jane" not in card
    assert "Classes, in order: no, yes." in card
    assert "| train | the rows given as train | 16 |" in card
    assert re.search(r"\| val/loss \| \d\.\d+ \|", card)
    assert r"| optimizer group 1 | initial\_lr 0.001, weight\_decay 0.0," in card
    front = yaml.safe_load(card.split("---\n")[1])
    assert front == {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["lit_hf"],
    }


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/home/jane/secret/bert/", "bert"),
        ("C:\\Users\\jane\\bert", "bert"),
        ("~/bert", "bert"),
        ("../jane/bert", "bert"),
        ("org/bert", "org/bert"),
        ("/data/minilm/model", "minilm"),
        ("/home/jane/model", "model"),
        ("C:\\Users\\jane\\model", "model"),
        ("./model", "model"),
    ],
)
def test_card__names_a_folder_without_its_path(name: str, shown: str) -> None:
    settings = {**_checkpoint()["hyper_parameters"], "model_name": name}
    card = _card(_checkpoint(hyper_parameters=settings), DATA, {})
    assert f"# {shown}, fine-tuned" in card
    assert "jane" not in card


def test_card__hostile_names_stay_text() -> None:
    about = {"task": HOSTILE, "version": HOSTILE, "metrics": {f"val/{HOSTILE}": 0.5}}
    settings: dict[str, Any] = dict.fromkeys(_checkpoint()["hyper_parameters"], HOSTILE)
    config = {"model_type": HOSTILE, "id2label": {"0": HOSTILE, "1": "b"}}
    settings |= {"label_names": None, "config_overrides": config}
    groups = [{"param_groups": [{"initial_lr": HOSTILE}]}]
    data = {"rows": {HOSTILE: HOSTILE}, "sources": {HOSTILE: [HOSTILE]}, "max_length": HOSTILE}
    content = {"lit_hf": about, "hyper_parameters": settings, "optimizer_states": groups}
    content |= {"global_step": HOSTILE, "epoch": HOSTILE}
    card = _card(_checkpoint(**content), data, {})
    plain = _card(_checkpoint(), DATA, {})
    assert "\x1b" not in card
    assert "<img" not in card
    assert "![" not in card
    assert "](" not in card
    assert "http://" not in card
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings[1:] == [line for line in plain.splitlines() if line.startswith("#")][1:]
    cells = [len(re.findall(r"(?<!\\)\|", x)) for x in card.splitlines() if x.startswith("|")]
    assert set(cells) == {3, 4}
    assert card.count("---\n") == plain.count("---\n")


def test_card__has_no_classes_of_a_regression() -> None:
    settings = {**_checkpoint()["hyper_parameters"], "problem_type": "regression"}
    assert "Classes" not in _card(_checkpoint(hyper_parameters=settings), DATA, {})


def test_card__leaves_out_what_is_not_known() -> None:
    content = {"lit_hf": {"task": "text_classification"}, "hyper_parameters": {"model_name": "b"}}
    card = _card(content, {}, {})
    assert "## Scores" not in card
    assert "## Data" not in card
    assert "## Settings" not in card
    assert "## Use" in card


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("lit_hf.modules.heads.MeanHead", None),
        ("my_heads.Flat", "import my_heads  # the head of this model, Flat"),
        ("__main__.Flat", "# first define Flat, the head of this model, as in its training"),
    ],
)
def test_card__of_an_own_head_says_what_to_import(path: str, first: str | None) -> None:
    config = {"model_type": "lit_hf_text_classifier", "head": {"class": path}}
    settings = {**_checkpoint()["hyper_parameters"], "config_overrides": config}
    card = _card(_checkpoint(hyper_parameters=settings), DATA, {})
    ours, plain = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert "from lit_hf import TextClassifier" in plain
    assert "from transformers import pipeline" in plain
    for block in (ours, plain):
        ast.parse(block)
        assert block.startswith(f"{first}\n" if first else "from lit_hf")


def test_card__of_a_ready_head_needs_no_import_and_hostile_heads_are_none() -> None:
    for head in ({}, {"class": "os; x.y"}, {"class": HOSTILE}):
        settings = {**_checkpoint()["hyper_parameters"], "config_overrides": {"head": head}}
        card = _card(_checkpoint(hyper_parameters=settings), DATA, {})
        blocks = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        wanted = ["from lit_hf import Predictor", "from transformers import pipeline"]
        assert [block.splitlines()[0] for block in blocks] == wanted


def test_card__tells_what_the_answers_depend_on() -> None:
    answering = {"no_answer_threshold": 1.25, "generation": {"num_beams": 4}, "language": None}
    card = _card(_checkpoint(), DATA, answering)
    assert "| no\\_answer\\_threshold | 1.25 |" in card
    assert "'num\\_beams': 4" in card
    assert "language" not in card


def test_card__names_the_class_that_f1_is_of() -> None:
    settings = {**_checkpoint()["hyper_parameters"], "positive_label": "hop|e"}
    card = _card({**_checkpoint(), "hyper_parameters": settings}, {}, {})
    assert r"| val/f1 of 'hop\|e' | 0.8035 |" in card
    assert "| val/f1 | 0.8035 |" in _card(_checkpoint(), {}, {})


@needs_pipes
def test_card__is_not_read_from_a_pipe(tmp_path: Path) -> None:
    with filled_pipe(tmp_path / "README.md", "- lit_hf\n"):
        assert not is_own_card(tmp_path / "README.md")
