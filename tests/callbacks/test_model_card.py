import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lit_hf import MeanHead
from lit_hf.callbacks.model_card import code_of, is_own_card, model_card
from lit_hf.callbacks.model_folder import export_checkpoint
from lit_hf.modules.usage import own_usage, text_usage
from tests.tasks import task_of
from tests.trainers import quiet_trainer

HOSTILE = "<img src=x onerror=alert(1)> | ![x](http://e.vil)\n# [a](javascript:b) \x1b[31m"
DATA: dict[str, Any] = {
    "rows": {"train": 6090, "val": 1523},
    "sources": {"train": ["train.csv"]},
    "max_length": 128,
}


def _checkpoint(validated: int | None = None, **settings: object) -> dict[str, Any]:
    return {
        "lit_hf": {
            "task": "text_classification",
            "version": "9.9",
            "validated": validated,
            "metrics": {"val/f1": 0.80352, "val/num_examples": 15230.0, "train/loss": 0.1},
        },
        "hyper_parameters": {
            "model_name": "org/tiny_bert",
            "label_names": None,
            "problem_type": "single_label",
            "scheduler": "linear",
            "config_overrides": {"model_type": "bert", "id2label": {"0": "no", "1": "yes"}},
            **settings,
        },
        "global_step": 12,
        "epoch": 3,
        "optimizer_states": [
            {"param_groups": [{"lr": 1e-9, "initial_lr": 2e-5, "weight_decay": 0.01}]}
        ],
    }


def _card(checkpoint: dict[str, Any], data: dict[str, Any], **answering: object) -> str:
    return model_card(checkpoint, data, answering, text_usage(data.get("inputs", {})))


def test_card__tells_task_scores_rows_and_settings() -> None:
    card = _card(_checkpoint(positive_label="hop|e"), DATA, no_answer_threshold=1.25, language=None)
    for line in [
        r"# org/tiny\_bert, fine-tuned",
        r"Task: text\_classification (single\_label). Base model: org/tiny\_bert (bert).",
        "Classes, in order: no, yes.",
        r"| val/f1 of 'hop\|e' | 0.8035 |",
        r"| val/num\_examples | 15230 |",
        "After step 12, epoch 3.",
        "| train | train.csv | 6090 |",
        "| val | set aside | 1523 |",
        "| scheduler | linear |",
        r"| max\_length | 128 |",
        r"| no\_answer\_threshold | 1.25 |",
        r"| optimizer group 0 | initial\_lr 2e-05, weight\_decay 0.01 |",
        'classify = pipeline("text-classification", folder, truncation=True)',
        'print(predictor(["a text"]))',
        "Written by lit_hf 9.9.",
    ]:
        assert line in card.splitlines()
    assert "train/loss" not in card
    assert "language" not in card
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["pipeline_tag"] == "text-classification"
    assert "Classes" not in _card(_checkpoint(problem_type="regression"), DATA)


@pytest.mark.parametrize(("validated", "is_scored"), [(None, True), (12, True), (10, False)])
def test_card__has_no_scores_of_other_weights(validated: int | None, is_scored: bool) -> None:
    card = _card(_checkpoint(validated), DATA)
    assert ("## Scores" in card) is is_scored
    assert ("the scores are of these weights" in card) is (validated == 12)
    assert ("only the weights of step 10 were scored" in card) is (validated == 10)


def test_card__of_a_real_run_is_known_again(trained: Path, tmp_path: Path) -> None:
    path = trained / "pretrained" / "README.md"
    assert is_own_card(path)
    assert not is_own_card(tmp_path)
    card = path.read_text(encoding="utf-8")
    assert r"# tiny\_bert, trained from scratch" in card
    assert "home-of-jane" not in card
    assert "| train | the rows given as train | 16 |" in card


def test_card__hostile_names_stay_text() -> None:
    checkpoint = _checkpoint()
    checkpoint["lit_hf"] = {"task": HOSTILE, "version": HOSTILE, "metrics": {f"val/{HOSTILE}": 0.5}}
    config = {
        "model_type": HOSTILE,
        "id2label": {"0": HOSTILE, "1": "b"},
        "head": {"class": HOSTILE},
    }
    settings = dict.fromkeys(checkpoint["hyper_parameters"], HOSTILE)
    checkpoint["hyper_parameters"] = {**settings, "config_overrides": config}
    checkpoint |= {"global_step": HOSTILE, "epoch": HOSTILE}
    checkpoint["optimizer_states"] = [{"param_groups": [{"initial_lr": HOSTILE}]}]
    data = {"rows": {HOSTILE: HOSTILE}, "sources": {HOSTILE: [HOSTILE]}, "max_length": HOSTILE}
    card = _card(checkpoint, data)
    plain = _card(_checkpoint(), DATA)
    assert not [text for text in ("\x1b", "<img", "![", "](", "http://") if text in card]
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings[1:] == [line for line in plain.splitlines() if line.startswith("#")][1:]
    cells = [len(re.findall(r"(?<!\\)\|", x)) for x in card.splitlines() if x.startswith("|")]
    assert set(cells) == {3, 4}
    assert card.count("---\n") == plain.count("---\n")


def test_code__imports_classes_of_ones_own_first_and_nothing_else() -> None:
    kinds = ["my.tasks.Tagger", "my.tasks.TagData", "lit_hf.data.base.HFDataModule", None]
    lines = code_of({}, own_usage("tags", "AutoModelForTokenClassification"), kinds)
    assert lines.count("import my.tasks  # Tagger and what belongs to it") == 1
    assert "model = AutoModelForTokenClassification.from_pretrained(folder)" in lines
    assert not any("import lit_hf.data" in line for line in lines)
    config = {"head": {"class": "my_heads.Flat"}}
    lines = code_of(config, text_usage({}), ["__main__.Deeper", "x; import os.A"])
    assert "# first define Deeper, as in its training" in lines
    assert sum(line.startswith("import my_heads") for line in lines) == 2  # in both ways
    assert not any("import os" in line for line in lines)


def _printed(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "card", "exec"), {"__name__": "card"})
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "of_data"),
    [
        ("text", {"max_length": 12}),
        ("text", {"text_template": "{label}: {text}\n"}),
        ("text", {"pair_column": "label"}),  # with an own head
        ("extractive", {}),
        ("generative", {"prompt": "{{read}} '{context}' and \"answer\": {question}"}),
        ("image", {}),
        ("image", {"image_size": 16}),
    ],
)
def test_code__runs_as_it_stands_and_answers_alike(
    name: str,
    of_data: dict[str, Any],
    tiny_model: str,
    tiny_t5: str,
    tiny_vit: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = task_of(name, tiny_model, tiny_t5, tiny_vit)
    module = task.module(**({"head": MeanHead} if "pair_column" in of_data else {}))
    data = task.data(val_fraction=0, **of_data).with_rows(train=task.rows(0, 4))
    trainer = quiet_trainer(max_steps=1, enable_checkpointing=False, default_root_dir=tmp_path)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    monkeypatch.chdir(export_checkpoint(tmp_path / "a.ckpt", tmp_path / "model"))
    card = Path("README.md").read_text(encoding="utf-8")
    ours, plain = map(_printed, re.findall(r"```python\n(.*?)```", card, re.DOTALL))
    if name in ("extractive", "generative"):
        assert repr(plain.strip()) in ours
    else:
        found = [{f"{float(n):.4f}" for n in re.findall(r"\d\.\d+", t)} for t in (ours, plain)]
        assert found[0] == found[1] != set()
