"""A text is answered alone as in a batch, whatever the config says of padding."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BartConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    RobertaConfig,
    T5Config,
    pipeline,
)

from lit_hf import InputError, Predictor, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.model_folder import export_checkpoint
from lit_hf.modules.padding import complete_padding
from tests.model_families import write_texts
from tests.trainers import quiet_trainer

TEXTS = ["a fire in town", "a", "Storm over the hills and over the old town", "a co-op"]
WRONG = 7


def _trainer(pad: int) -> Any:  # noqa: ANN401 - what stands for a Trainer with data
    return SimpleNamespace(datamodule=SimpleNamespace(processor=SimpleNamespace(pad_token_id=pad)))


def test_padding__is_that_of_the_tokenizer(tiny_model: str) -> None:
    config = GPT2Config(eos_token_id=50, pad_token_id=WRONG)
    complete_padding(config, None)  # of a checkpoint
    assert config.pad_token_id == WRONG
    complete_padding(config, None, tiny_model)
    assert config.pad_token_id == 0
    complete_padding(config, _trainer(11), tiny_model)
    assert config.pad_token_id == 11
    for kind in (RobertaConfig, BartConfig, T5Config):  # they number places or begin by it
        other: PreTrainedConfig = kind(pad_token_id=WRONG)
        complete_padding(other, _trainer(3))
        assert other.pad_token_id == WRONG


def _write(folder: Path, kind: str) -> str:
    """A decoder whose config names another padding token than its tokenizer."""
    write_texts("GPT2", folder)
    path = folder / "config.json"
    if kind == "Llama":
        known = json.loads(path.read_text())
        sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 32}
        sizes |= {"num_attention_heads": 2, "num_key_value_heads": 2, "initializer_range": 0.4}
        sizes |= {name: known[name] for name in ("vocab_size", "bos_token_id", "eos_token_id")}
        LlamaConfig(**sizes).save_pretrained(folder)
    path.write_text(json.dumps({**json.loads(path.read_text()), "pad_token_id": WRONG}))
    return str(folder)


def _alone(folder: Path, texts: list[str]) -> list[float]:
    """The probability of the last class of each text without padding, by plain transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        outputs = [model(**tokenizer(text, return_tensors="pt")).logits for text in texts]
    return [logits.softmax(1)[0, -1].item() for logits in outputs]


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize("template", [None, "{text}<|endoftext|>"])
@pytest.mark.parametrize("kind", ["GPT2", "Llama"])
def test_answers__are_the_same_alone_and_in_a_batch(
    kind: str, template: str | None, touched: bool, tmp_path: Path
) -> None:
    """Also of texts that end with the token that they are padded with."""
    pl.seed_everything(0, verbose=False)
    base = _write(tmp_path / "base", kind)
    data = TextClassificationDataModule(base, text_template=template, val_fraction=0)
    data.processor.padding_side = "left"  # the side that a model needs goes first
    rows = [{"text": text, "label": "ab"[number % 2]} for number, text in enumerate(TEXTS)]
    data.with_rows(train=rows, predict=rows)
    module = TextClassifier(base, ["a", "b"], pretrained=False)
    if touched:
        module.model.config.pad_token_id = WRONG
    trainer = quiet_trainer(max_steps=1, enable_checkpointing=False, default_root_dir=tmp_path)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    folder = export_checkpoint(tmp_path / "a.ckpt", tmp_path / "model")
    expected = _alone(folder, [f"{text}<|endoftext|>" if template else text for text in TEXTS])
    assert len({round(value, 3) for value in expected}) == len(TEXTS)

    def same(answers: Any) -> None:  # noqa: ANN401 - of several sources
        found = [answer["probabilities"]["b"] for answer in answers]
        assert found == pytest.approx(expected, abs=1e-5)

    predicted: Any = quiet_trainer(default_root_dir=tmp_path).predict(module, data)
    same(answer for batch in predicted for answer in batch)
    for source in (folder, tmp_path / "a.ckpt"):
        same(Predictor.from_pretrained(source)(rows, batch_size=4))
    if template is None:
        classify: Any = pipeline("text-classification", str(folder), device="cpu")
        found = classify(TEXTS, top_k=None, batch_size=2)
        same({"probabilities": {c["label"]: c["score"] for c in row}} for row in found)


def test_predictor__tells_the_model_what_its_tokenizer_pads_with(tmp_path: Path) -> None:
    """Of a module of one's own and a tokenizer that has no padding token, as GPT-2's files."""
    base = _write(tmp_path / "base", "GPT2")
    module = TextClassifier(base, ["a", "b"], pretrained=False)
    module.model.config.pad_token_id = WRONG
    tokenizer = AutoTokenizer.from_pretrained(base)
    predictor = Predictor(module, tokenizer)
    alone, together = (
        [answer["probability"] for answer in predictor(TEXTS, batch_size=size)] for size in (1, 4)
    )
    assert alone == pytest.approx(together, abs=1e-5)
    assert tokenizer.pad_token is None  # that of the user stays as it is
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="neither padding nor end token"):
        Predictor(module, tokenizer)
