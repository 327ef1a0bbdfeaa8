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
from lit_hf.callbacks.export import export_checkpoint
from lit_hf.modules.padding import complete_padding, follow_padding
from lit_hf.pretrained.models import from_config
from tests.model_families import write_texts
from tests.trainers import quiet_trainer

TEXTS = ["a fire in town", "a", "Storm over the hills and over the old town", "a co-op"]
WRONG = 7


def _trainer(pad: int | None) -> Any:  # noqa: ANN401 - what stands for a Trainer with data
    return SimpleNamespace(datamodule=SimpleNamespace(processor=SimpleNamespace(pad_token_id=pad)))


@pytest.mark.parametrize(("ends", "pad"), [(0, 0), (7, 7), ([9, 8], 9)])
def test_padding__of_a_model_without_tokenizer_is_its_first_end_token(
    ends: int | list[int], pad: int, tmp_path: Path
) -> None:
    config = LlamaConfig(eos_token_id=ends)
    complete_padding(config, None, {}, str(tmp_path))
    assert config.pad_token_id == pad


@pytest.mark.parametrize("told", [None, WRONG])
def test_padding__is_that_of_the_tokenizer(tiny_model: str, told: int | None) -> None:
    config = GPT2Config(eos_token_id=50, pad_token_id=told)
    complete_padding(config, None, {}, tiny_model)
    assert config.pad_token_id == 0
    complete_padding(config, _trainer(11), {}, tiny_model)
    assert config.pad_token_id == 11


@pytest.mark.parametrize(
    "config",
    [
        RobertaConfig(pad_token_id=WRONG),  # its places begin behind it
        BartConfig(pad_token_id=WRONG),
        T5Config(pad_token_id=WRONG),
    ],
)
def test_padding__that_a_model_was_trained_with_stays(config: PreTrainedConfig) -> None:
    complete_padding(config, _trainer(3), {})
    assert config.pad_token_id == WRONG


def test_padding__of_images_and_of_loaders_of_ones_own_is_not_known(tiny_model: str) -> None:
    config = GPT2Config(eos_token_id=50, pad_token_id=WRONG)
    images: Any = SimpleNamespace(datamodule=SimpleNamespace(processor=SimpleNamespace()))
    complete_padding(config, images, {}, tiny_model)
    complete_padding(config, None, {})
    assert config.pad_token_id == WRONG


def test_padding__of_a_whole_config_is_that_of_the_data(tiny_model: str) -> None:
    """Of a checkpoint; the folder that it was trained from may be gone."""
    config = GPT2Config(eos_token_id=50, pad_token_id=WRONG)
    complete_padding(config, None, config.to_dict(), tiny_model)
    assert config.pad_token_id == WRONG
    complete_padding(config, _trainer(3), config.to_dict(), tiny_model)
    assert config.pad_token_id == 3


def test_padding__that_was_typed_is_kept_or_refused() -> None:
    complete_padding(GPT2Config(pad_token_id=3), _trainer(3), {"pad_token_id": 3})
    complete_padding(RobertaConfig(pad_token_id=4), _trainer(3), {"pad_token_id": 4})
    with pytest.raises(InputError, match="pad_token_id is 4, but the tokenizer pads with 3"):
        complete_padding(GPT2Config(pad_token_id=4), _trainer(3), {"pad_token_id": 4})


def test_padding__with_the_token_that_a_head_looks_for_is_refused() -> None:
    """Of T5 and BART: the ready head reads the end token, of which every text has to have one."""
    config = BartConfig(problem_type="regression", eos_token_id=2)
    with pytest.raises(InputError, match="pads with the end token"):
        complete_padding(config, _trainer(2), {})
    config.problem_type = None  # no classifier
    complete_padding(config, _trainer(2), {})


def test_padding__lets_a_language_model_find_the_last_token() -> None:
    config = GPT2Config(vocab_size=40, n_positions=16, n_embd=8, n_layer=1, n_head=2)
    config.pad_token_id = WRONG
    model = from_config(AutoModelForSequenceClassification, config).train(False)
    follow_padding(model.config, 0)
    ids, mask = torch.tensor([[5, 6, 0, 0]]), torch.tensor([[1, 1, 0, 0]])
    with torch.no_grad():
        alone, padded = model(ids[:, :2]).logits, model(ids, attention_mask=mask).logits
    torch.testing.assert_close(alone, padded)


def _write(folder: Path, kind: str, pad: int | None) -> str:
    """A decoder whose config names another padding token than its tokenizer, or none."""
    write_texts("GPT2", folder)
    path = folder / "config.json"
    if kind == "Llama":
        known = json.loads(path.read_text())
        sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 32}
        heads: dict[str, Any] = {"num_attention_heads": 2, "num_key_value_heads": 2}
        marks: dict[str, Any] = {
            name: known[name] for name in ("vocab_size", "bos_token_id", "eos_token_id")
        }
        LlamaConfig(**marks, **sizes, **heads, initializer_range=0.4).save_pretrained(folder)
    path.write_text(json.dumps({**json.loads(path.read_text()), "pad_token_id": pad}))
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
    base = _write(tmp_path / "base", kind, WRONG)
    data = TextClassificationDataModule(base, text_template=template, val_fraction=0)
    data.processor.padding_side = "left"  # the side that a model wants goes first
    rows = [{"text": text, "label": "ab"[number % 2]} for number, text in enumerate(TEXTS)]
    data.with_rows(train=rows, predict=rows)
    module = TextClassifier(base, ["a", "b"], pretrained=False)
    if touched:
        _ = module.model
        module.model.config.pad_token_id = WRONG
    trainer = quiet_trainer(max_steps=1, enable_checkpointing=False, default_root_dir=tmp_path)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    folder = export_checkpoint(tmp_path / "a.ckpt", tmp_path / "model")
    wanted = _alone(folder, [f"{text}<|endoftext|>" if template else text for text in TEXTS])
    assert len({round(value, 3) for value in wanted}) == len(TEXTS)

    def same(answers: Any) -> None:  # noqa: ANN401 - of several sources
        found = [answer["probabilities"]["b"] for answer in answers]
        assert found == pytest.approx(wanted, abs=1e-5)

    predicted: Any = quiet_trainer(default_root_dir=tmp_path).predict(module, data)
    same(answer for batch in predicted for answer in batch)
    for source in (folder, tmp_path / "a.ckpt"):
        for size in (1, 4):
            same(Predictor.from_pretrained(source)(rows, batch_size=size))
    if template is None:
        classify: Any = pipeline("text-classification", str(folder), device="cpu")
        for size in (1, 2):
            found = classify(TEXTS, top_k=None, batch_size=size)
            same({"probabilities": {c["label"]: c["score"] for c in row}} for row in found)


def test_predictor__tells_the_model_what_its_tokenizer_pads_with(tmp_path: Path) -> None:
    """Of a module of one's own and a tokenizer that has no padding token, as GPT-2's files."""
    base = _write(tmp_path / "base", "GPT2", WRONG)
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
