import contextlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lit_hf import (
    ExtractiveQA,
    ExtractiveQADataModule,
    GenerativeQA,
    GenerativeQADataModule,
    HFDataModule,
    HFModule,
    ImageClassificationDataModule,
    ImageClassifier,
    MeanHead,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.card_code import code_of
from lit_hf.callbacks.export import export_checkpoint
from lit_hf.modules.usage import own_usage, text_usage
from tests.images import drawn
from tests.trainers import quiet_trainer

ROWS = [{"text": f"fire {n}", "k": "[SEP] {x}", "label": n % 2} for n in range(4)]
QUESTIONS = [
    {"id": str(n), "question": "Who?", "context": "Ada did.", "answers": ["Ada"]} for n in range(4)
]
IMAGES = [{"image": drawn(number), "label": "ab"[number % 2]} for number in range(4)]


def _texts(
    models: dict[str, str],
    head: type[MeanHead] | None = None,
    **columns: Any,  # noqa: ANN401 - settings of the data
) -> tuple[HFModule, HFDataModule]:
    data = TextClassificationDataModule(models["bert"], val_fraction=0, **columns)
    module = TextClassifier(models["bert"], pretrained=False, head=head)
    return module, data.with_rows(train=ROWS)


def _spans(models: dict[str, str]) -> tuple[HFModule, HFDataModule]:
    data = ExtractiveQADataModule(models["bert"], max_length=40, doc_stride=8, val_fraction=0)
    return ExtractiveQA(models["bert"], pretrained=False), data.with_rows(train=QUESTIONS)


def _answers(models: dict[str, str]) -> tuple[HFModule, HFDataModule]:
    prompt = "{{read}} '{context}' and \"answer\": {question}"
    data = GenerativeQADataModule(models["t5"], prompt=prompt, doc_stride=8, val_fraction=0)
    return GenerativeQA(models["t5"], pretrained=False), data.with_rows(train=QUESTIONS)


def _images(models: dict[str, str], image_size: int | None = None) -> tuple[HFModule, HFDataModule]:
    data = ImageClassificationDataModule(models["vit"], val_fraction=0, image_size=image_size)
    return ImageClassifier(models["vit"], pretrained=False), data.with_rows(train=IMAGES)


KINDS: dict[str, Callable[..., tuple[HFModule, HFDataModule]]] = {
    "texts": lambda models: _texts(models, max_length=12),
    "template": lambda models: _texts(models, text_template="{k}: {text}\n"),
    "tokens in the template": lambda models: _texts(models, text_template="{text} [SEP] {text}"),
    "pairs and own head": lambda models: _texts(models, MeanHead, pair_column="k"),
    "spans": _spans,
    "answers": _answers,
    "images": _images,
    "images of another size": lambda models: _images(models, image_size=16),
}


def _printed(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "card", "exec"), {"__name__": "card"})
    return out.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_code__runs_as_it_stands_and_answers_alike(
    kind: str,
    tiny_model: str,
    tiny_t5: str,
    tiny_vit: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, data = KINDS[kind]({"bert": tiny_model, "t5": tiny_t5, "vit": tiny_vit})
    trainer = quiet_trainer(max_steps=1, enable_checkpointing=False, default_root_dir=tmp_path)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    monkeypatch.chdir(export_checkpoint(tmp_path / "a.ckpt", tmp_path / "model"))
    card = Path("README.md").read_text(encoding="utf-8")
    ours, plain = map(_printed, re.findall(r"```python\n(.*?)```", card, re.DOTALL))
    if kind in ("spans", "answers"):
        assert repr(plain.strip()) in ours
    else:
        numbers = [
            {f"{float(n):.4f}" for n in re.findall(r"\d\.\d+", text)} for text in (ours, plain)
        ]
        assert numbers[0] == numbers[1] != set()


def test_classes_of_ones_own__are_imported_first() -> None:
    kinds = ["my.tasks.Tagger", "my.tasks.TagData", "lit_hf.data.base.HFDataModule", None]
    lines = code_of({}, own_usage("tags", "AutoModelForTokenClassification"), kinds)
    assert lines.count("import my.tasks  # Tagger and what belongs to it") == 1
    assert "model = AutoModelForTokenClassification.from_pretrained(folder)" in lines
    assert not any("import lit_hf.data" in line for line in lines)
    lines = code_of({}, text_usage({}), ["__main__.Deeper", "x; import os.A"])
    assert "# first define Deeper, as in its training" in lines
    assert not any("import os" in line for line in lines)
