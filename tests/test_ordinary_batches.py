"""Loaders of ordinary Hugging Face batches, and modules called as transformers models are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from transformers import (
    AutoImageProcessor,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    DataCollatorWithPadding,
    default_data_collator,
)

from lit_hf import (
    ExtractiveQA,
    GenerativeQA,
    HFModule,
    ImageClassifier,
    SampleLogger,
    TextClassifier,
)
from tests.images import drawn
from tests.trainers import quiet_trainer

Loader = DataLoader[Any]
TEXTS = ["fire in the mill", "a song", "storm and flood again", "party", "quake", "no fire at all"]


def text_rows(model: str) -> Loader:
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = [{**tokenizer(text), "label": n % 2} for n, text in enumerate(TEXTS)]
    return DataLoader(rows, batch_size=4, collate_fn=DataCollatorWithPadding(tokenizer))  # type: ignore[arg-type]  # a list


def span_rows(model: str) -> Loader:
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = [
        {
            **tokenizer("what?", " ".join([text] * 20), max_length=16, truncation="only_second"),
            "start_positions": 4,
            "end_positions": 5,
        }
        for text in TEXTS
    ]
    return DataLoader(rows, batch_size=4, collate_fn=default_data_collator)  # type: ignore[arg-type]  # a list


def prompt_rows(model: str) -> Loader:
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = [
        {**tokenizer(text), "labels": tokenizer(text_target=text[:6])["input_ids"]}
        for text in TEXTS
    ]
    return DataLoader(rows, batch_size=4, collate_fn=DataCollatorForSeq2Seq(tokenizer))  # type: ignore[arg-type]  # a list


def image_rows(model: str) -> Loader:
    processor: Any = AutoImageProcessor.from_pretrained(model)  # type: ignore[no-untyped-call]  # has no types
    rows = [
        {
            "pixel_values": processor(drawn(n), return_tensors="pt")["pixel_values"][0],
            "labels": n % 2,
        }
        for n in range(6)
    ]
    return DataLoader(rows, batch_size=4, collate_fn=default_data_collator)  # type: ignore[arg-type]  # a list


Case = tuple[HFModule, Loader]


@pytest.fixture(params=["text", "image", "extractive", "generative"])
def case(request: pytest.FixtureRequest, tiny_model: str, tiny_vit: str, tiny_t5: str) -> Case:
    makes: dict[str, Callable[[], Case]] = {
        "text": lambda: (TextClassifier(tiny_model, ["a", "b"]), text_rows(tiny_model)),
        "image": lambda: (ImageClassifier(tiny_vit, ["a", "b"]), image_rows(tiny_vit)),
        "extractive": lambda: (ExtractiveQA(tiny_model), span_rows(tiny_model)),
        "generative": lambda: (GenerativeQA(tiny_t5), prompt_rows(tiny_t5)),
    }
    return makes[request.param]()


def test_loaders__of_ordinary_batches_train_and_validate(case: Case, tmp_path: Path) -> None:
    module, loader = case
    trainer = quiet_trainer(
        max_epochs=1, default_root_dir=tmp_path, callbacks=[SampleLogger(every_n_steps=1)]
    )
    trainer.fit(module, loader, loader)
    assert trainer.global_step == 2
    assert trainer.callback_metrics["val/num_examples"] == 6
    assert trainer.callback_metrics["val/loss"].isfinite()


def test_model__gives_the_loss_of_transformers(case: Case) -> None:
    module, loader = case
    module.eval()
    batch = dict(next(iter(loader)))
    with torch.no_grad():
        plain = module.model(**batch).loss
        assert torch.equal(module(**batch).loss, plain)
        step = module.step(batch, "train")
    assert float(step["loss"]) == pytest.approx(float(plain), abs=1e-5)


def test_module__is_called_as_in_transformers(tiny_model: str) -> None:
    tokenizer, module = (
        AutoTokenizer.from_pretrained(tiny_model),
        TextClassifier(tiny_model, ["a", "b"]),
    )
    module.eval()
    tokens = tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        by_name = module(**tokens).logits
        by_place = module(tokens["input_ids"], tokens["attention_mask"]).logits
        by_batch = module(tokens).logits
    assert torch.equal(by_name, by_place)
    assert torch.equal(by_name, by_batch)


def test_folder__of_save_pretrained_is_that_of_transformers(
    tiny_model: str, tmp_path: Path
) -> None:
    module = TextClassifier(tiny_model, ["a", "b"]).eval()
    module.save_pretrained(tmp_path / "saved")
    tokens = AutoTokenizer.from_pretrained(tmp_path / "saved")(
        TEXTS, return_tensors="pt", padding=True
    )
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(plain(**tokens).logits, module(**tokens).logits)
