"""An exported folder answers in plain transformers as the Predictor does, row by row."""

import contextlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import pytest
from PIL import Image
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    pipeline,
)

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
    Predictor,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.model_folder import export_checkpoint
from tests.images import drawn
from tests.model_families import ENCODERS, IMAGES, WRITERS, write_images, write_texts
from tests.trainers import quiet_trainer

LENGTH = 32
TEXTS = [
    *("a fire in town", "a", "  Storm over the hills ", "it's a co-op CAFÉ"),
    *("[SEP] in </s> a [CLS] town <s>", "<mask> [MASK] <|endoftext|> <pad>"),
    *("서울에 불이 났다", "so 🔥 hot 🔥🔥", "Fire in the Old town, people leave. " * 30),
]
PAIRS = list(zip(TEXTS, reversed(TEXTS), strict=True))
Folder = Callable[[HFModule, HFDataModule], Path]


@pytest.fixture
def exported(tmp_path: Path) -> Folder:
    """Trains for a step and exports."""

    def export(module: HFModule, data: HFDataModule) -> Path:
        trainer = quiet_trainer(max_steps=1, enable_checkpointing=False, default_root_dir=tmp_path)
        trainer.fit(module, data)
        trainer.save_checkpoint(tmp_path / "a.ckpt")
        return export_checkpoint(tmp_path / "a.ckpt", tmp_path / "model")

    pl.seed_everything(0, verbose=False)
    return export


def _same(folder: Path, items: list[Any], given: list[Any], max_length: int = LENGTH) -> None:
    """The pipeline gives the Predictor's probabilities, one at a time and in padded batches."""
    wanted = Predictor.from_pretrained(folder)(items)
    classify: Any = pipeline("text-classification", str(folder), device="cpu")
    for size in (1, 4):
        cut = {"truncation": True, "max_length": max_length}
        rows = classify(given, top_k=None, batch_size=size, **cut)
        for answer, row in zip(wanted, rows, strict=True):
            found = {label["label"]: label["score"] for label in row}
            assert found == pytest.approx(answer["probabilities"], abs=1e-5)
            if isinstance(answer["prediction"], str):
                assert row[0]["label"] == answer["prediction"]
    assert len({round(cast("float", answer["probability"]), 3) for answer in wanted}) > 5


@pytest.mark.parametrize("kind", [*ENCODERS, "own head"])
def test_texts(kind: str, tmp_path: Path, exported: Folder) -> None:
    base = write_texts("Bert" if kind == "own head" else kind, tmp_path / "base")
    rows = [{"text": text, "label": number % 2} for number, text in enumerate(TEXTS)]
    data = TextClassificationDataModule(base, max_length=LENGTH, val_fraction=0)
    head = MeanHead if kind == "own head" else None
    folder = exported(TextClassifier(base, pretrained=False, head=head), data.with_rows(train=rows))
    _same(folder, TEXTS, TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == {"Roberta": 62, "XLMRoberta": 62}.get(kind, 64)
    assert tokenizer.padding_side == "right"


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "Albert", "DebertaV2"])
def test_pairs(kind: str, tmp_path: Path, exported: Folder) -> None:
    base = write_texts(kind, tmp_path / "base")
    rows = [{"text": text, "b": pair, "label": len(pair) % 2} for text, pair in PAIRS]
    data = TextClassificationDataModule(base, max_length=LENGTH, pair_column="b", val_fraction=0)
    folder = exported(TextClassifier(base, pretrained=False), data.with_rows(train=rows))
    _same(folder, PAIRS, [{"text": text, "text_pair": pair} for text, pair in PAIRS])


def test_several_labels_and_numbers(tmp_path: Path, exported: Folder) -> None:
    """The pipeline knows by itself that each label has a probability of its own."""
    base = write_texts("Bert", tmp_path / "base")
    rows: list[dict[str, Any]] = [{"text": text, "label": "a,b"} for text in TEXTS]
    data = TextClassificationDataModule(
        base, problem_type="multi_label", label_names=["a", "b", "c"], val_fraction=0
    )
    module = TextClassifier(base, pretrained=False, problem_type="multi_label")
    _same(exported(module, data.with_rows(train=rows)), TEXTS, TEXTS, max_length=64)
    rows = [{"text": text, "label": number / 4} for number, text in enumerate(TEXTS)]
    data = TextClassificationDataModule(base, problem_type="regression", val_fraction=0)
    module = TextClassifier(base, pretrained=False, problem_type="regression")
    folder = exported(module, data.with_rows(train=rows))
    classify: Any = pipeline("text-classification", str(folder), device="cpu")
    found = [row["score"] for row in classify(TEXTS, truncation=True)]
    wanted = [answer["prediction"] for answer in Predictor.from_pretrained(folder)(TEXTS)]
    assert found == pytest.approx(wanted, abs=1e-5)


SHORT = "Ada sold the old mill by the river in 1921."
LONG = " ".join(f"Boat {number} left the harbour at {number} o'clock." for number in range(12))
QUESTIONS = [
    ("Who sold the mill?", SHORT),
    ("  When [SEP] was it </s> sold? ", SHORT),
    ("누가 팔았나", "서울 아다가 팔았다 🔥 in 1921"),
    ("What?", "  a [SEP] b </s> [CLS] c <pad> d  "),
]


def _question_rows() -> list[dict[str, object]]:
    return [
        {"id": str(number), "question": question, "context": context, "answers": [context[2:6]]}
        for number, (question, context) in enumerate(QUESTIONS)
    ]


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "XLMRoberta", "DebertaV2", "ModernBert"])
def test_spans(kind: str, tmp_path: Path, exported: Folder) -> None:
    base = write_texts(kind, tmp_path / "base")
    data = ExtractiveQADataModule(base, max_length=60, doc_stride=8, val_fraction=0)
    module = ExtractiveQA(base, pretrained=False, max_answer_length=30)
    folder = exported(module, data.with_rows(train=_question_rows()))
    items = [*QUESTIONS, ("When did boat 3 leave?", LONG)]
    card = (folder / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import torch.*?)```", card, re.DOTALL)
    for (question, context), answer in zip(
        items, Predictor.from_pretrained(folder)(items), strict=True
    ):
        asked = f"question, context = {question!r}, {context!r}"
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.chdir(folder):
            exec(re.sub("question, context = .*", lambda _: asked, code), {})  # noqa: B023 - at once
        assert out.getvalue().rstrip("\n") == answer["prediction"]


@pytest.mark.parametrize("kind", WRITERS)
def test_generated_answers(kind: str, tmp_path: Path, exported: Folder) -> None:
    """By the prompt, the beams and the lengths that the folder names."""
    base = write_texts(kind, tmp_path / "base")
    prompt = "{context} Question: {question}"
    data = GenerativeQADataModule(base, prompt=prompt, max_length=100, doc_stride=8, val_fraction=0)
    settings: dict[str, Any] = {"num_beams": 3, "max_new_tokens": 9}
    module = GenerativeQA(base, pretrained=False, generation=settings)
    folder = exported(module, data.with_rows(train=_question_rows()))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    found = model.config.task_specific_params["generative_qa"]["prompt"]
    texts = [found.format(question=question, context=context) for question, context in QUESTIONS]
    ids = [model.generate(**tokenizer(text, return_tensors="pt"))[0] for text in texts]
    written = [str(tokenizer.decode(row, skip_special_tokens=True)).strip() for row in ids]
    answers = Predictor.from_pretrained(folder)(QUESTIONS)
    assert written == [answer["prediction"] for answer in answers]
    assert len(set(written)) > 2
    (several,) = Predictor.from_pretrained(folder)([("When did boat 3 leave?", LONG)])
    assert len(cast("list[object]", several["n_best"])) > 1  # windows, which plain code has not


def _waves(height: int, width: int) -> Image.Image:
    down, right = np.arange(height)[:, None, None], np.arange(width)[None, :, None]
    waves = np.sin(down * (0.31, 0.17, 0.11) + right * (0.13, 0.29, 0.07))
    return Image.fromarray((127.5 + 127 * waves).astype(np.uint8))


def _images(folder: Path) -> dict[str, Any]:
    """Of several modes and sizes, and one that a camera has turned, as file and as image."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = folder / "turned.png"
    _waves(30, 60).save(turned, exif=exif)
    modes = {mode: _waves(40, 50).convert(mode) for mode in ("RGB", "L", "RGBA", "P", "1", "CMYK")}
    sizes = [(1, 1), (90, 20), (3, 60), (1, 40), (16, 16), (32, 32), (300, 200)]
    return {
        **modes,
        **{f"{height} x {width}": _waves(height, width) for height, width in sizes},
        **{"file": str(turned), "opened": Image.open(turned)},
    }


def _seen(folder: Path, images: list[Any]) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """The probabilities of plain transformers, and of the Predictor."""
    classify: Any = pipeline("image-classification", str(folder), device="cpu")
    found = [{label["label"]: label["score"] for label in classify(image)} for image in images]
    answers = Predictor.from_pretrained(folder)(images)
    return found, [cast("dict[str, float]", answer["probabilities"]) for answer in answers]


@pytest.mark.parametrize("kind", IMAGES)
def test_images(kind: str, tmp_path: Path, exported: Folder) -> None:
    """Within 1e-3: single levels of pixels are rounded the other way, see `functional.pixels`."""
    (tmp_path / "base").mkdir()
    base = write_images(kind, tmp_path / "base")
    rows = [{"image": drawn(number), "label": "ab"[number % 2]} for number in range(4)]
    data = ImageClassificationDataModule(base, val_fraction=0)
    module = ImageClassifier(base, pretrained=False, config_overrides={"initializer_range": 0.2})
    images = _images(tmp_path)
    held = [{"image": image} for image in images.values()]
    folder = exported(module, data.with_rows(train=rows, predict=held))
    found, wanted = _seen(folder, list(images.values()))
    for name, plain, ours in zip(images, found, wanted, strict=True):
        assert plain == pytest.approx(ours, abs=1e-3), name
    assert len({round(ours["a"], 3) for ours in wanted}) > 5
    trainer = quiet_trainer(default_root_dir=tmp_path)
    told = [row for batch in trainer.predict(module, data) or [] for row in cast("Any", batch)]
    for row, ours in zip(told, wanted, strict=True):  # in one batch of several sizes
        assert row["probabilities"] == pytest.approx(ours, abs=1e-5)


def test_images_of_another_size(tmp_path: Path, exported: Folder) -> None:
    """The pipeline does not ask for other position codes; the card's code does."""
    (tmp_path / "base").mkdir()
    base = write_images("ViT", tmp_path / "base")
    rows = [{"image": drawn(number), "label": "ab"[number % 2]} for number in range(4)]
    data = ImageClassificationDataModule(base, val_fraction=0, image_size=24)
    folder = exported(ImageClassifier(base, pretrained=False), data.with_rows(train=rows))
    with pytest.raises(ValueError, match=r"24.*doesn't match"):
        _seen(folder, [_waves(24, 24)])
    assert "interpolate_pos_encoding=True" in (folder / "README.md").read_text(encoding="utf-8")
