"""Positions for tokens: what each family takes by `positions_of` and by its embedding."""

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    PreTrainedConfig,
    PreTrainedModel,
)

from lit_hf import (
    InputError,
    MeanHead,
    Predictor,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.pretrained.models import from_config
from lit_hf.pretrained.positions import check_length, default_length, positions_of
from tests.tiny_models import word_pieces
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "emb_dim", "embedding_size", "dim"), 24),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "encoder_attention_heads"), 2),
    **dict.fromkeys(("decoder_attention_heads", "num_key_value_heads", "ngram"), 2),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 1),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers"), 1),
    **dict.fromkeys(("num_encoder_layers", "num_encoder_attention_heads"), 1),
    **dict.fromkeys(("num_decoder_attention_heads", "channel_shrink_ratio"), 1),
    **dict.fromkeys(("intermediate_size", "d_ff", "hidden_dim", "encoder_ffn_dim"), 24),
    **dict.fromkeys(("decoder_ffn_dim", "head_dim", "d_kv"), 12),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 40),
    **{"vocab_size": 60, "attention_window": 16, "entity_vocab_size": 9},
}
# The family, what is set otherwise, how many of 40 positions are left to read and to write.
Limit = int | None
FAMILIES: list[tuple[str, dict[str, Any], Limit, Limit]] = [
    *((kind, {}, 40, 40) for kind in ("albert", "bert", "distilbert", "electra", "gpt2", "opt")),
    *((kind, {}, 40, 40) for kind in ("deberta", "deberta-v2", "big_bird", "ernie", "xlm")),
    *((kind, {}, 38, 38) for kind in ("camembert", "esm", "ibert", "longformer", "luke")),
    *((kind, {}, 38, 38) for kind in ("roberta", "xlm-roberta", "xlm-roberta-xl")),
    ("roberta", {"pad_token_id": 0}, 39, 39),
    ("mpnet", {"pad_token_id": 5}, 38, 38),
    ("deberta-v2", {"position_biased_input": False, "relative_attention": True}, None, None),
    ("bloom", {}, None, None),
    *((kind, {}, 40, 40) for kind in ("bart", "marian", "mbart", "pegasus")),
    ("led", {"max_encoder_position_embeddings": 40, "max_decoder_position_embeddings": 40}, 32, 40),
    ("t5", {"decoder_start_token_id": 0}, None, None),
]


def _config(kind: str, changes: dict[str, Any]) -> PreTrainedConfig:
    config: PreTrainedConfig = AutoConfig.for_model(kind)
    tokens = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 2}
    for name, value in {**SIZES, **tokens, **changes}.items():
        if hasattr(config, name) or name in changes:
            with suppress(NotImplementedError):  # ProphetNet counts its layers by parts
                setattr(config, name, value)
    return config


def _model(config: PreTrainedConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    model = from_config(AutoModel, config)
    model.train(False)
    return model


def _takes(model: PreTrainedModel, name: str, length: int) -> bool:
    """Whether a model runs on so many tokens; of the other part of it on a few."""
    inputs = {"input_ids": torch.full((1, 4), 7)}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.full((1, 4), 7)
    inputs[name] = torch.full((1, length), 7)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    try:
        with torch.no_grad():
            model(**inputs)
    except (IndexError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "changes", "reads", "writes"), FAMILIES, ids=[f"{f[0]}-{f[1]}" for f in FAMILIES]
)
def test_positions__are_those_of_the_embedding(
    kind: str, changes: dict[str, Any], reads: Limit, writes: Limit
) -> None:
    config = _config(kind, changes)
    assert (positions_of(config), positions_of(config, "decoder")) == (reads, writes)
    model = _model(config)
    limits = {"input_ids": reads}
    if config.is_encoder_decoder:
        limits["decoder_input_ids"] = writes
    for name, limit in limits.items():
        assert _takes(model, name, limit or 90)
        assert limit is None or not _takes(model, name, limit + 1)


def test_positions__of_a_decoder_that_looks_a_token_ahead() -> None:
    """ProphetNet's; its encoder gives all tokens behind the last place that very place."""
    config = _config("prophetnet", {"pad_token_id": 0})
    assert (positions_of(config), positions_of(config, "decoder")) == (39, 38)
    model = _model(config)
    assert _takes(model, "decoder_input_ids", 38)
    assert not _takes(model, "decoder_input_ids", 39)


def test_positions__of_rotary_models_are_those_that_the_config_names() -> None:
    """Nothing breaks behind them; it is what the model was trained with."""
    assert positions_of(_config("llama", {})) == 40
    assert positions_of(_config("esm", {"position_embedding_type": "rotary"})) == 40


@pytest.mark.parametrize(
    ("named", "places", "wanted"),
    [(10**30, 40, 38), (10**30, None, 512), (20, 40, 20), (20, None, 20), (600, None, 600)],
)
def test_default__is_the_smaller_of_what_tokenizer_and_model_name(
    named: int, places: int | None, wanted: int
) -> None:
    config = _config("bloom", {}) if places is None else _config("roberta", {})
    tokenizer: Any = SimpleNamespace(model_max_length=named)
    assert default_length(tokenizer, config) == wanted


def test_length__is_refused_by_what_the_model_takes_alone() -> None:
    check_length("max_length", 3, 38, "x", num_special=2)
    check_length("max_length", 10**6, None, "x")
    with pytest.raises(InputError, match=r"`max_length` to be at most 38 \(.*x\), but got 39"):
        check_length("max_length", 39, 38, "x")
    with pytest.raises(InputError, match=r"`max_length` to be above 2 \(special tokens\), but"):
        check_length("max_length", 2, None, "x", num_special=2)


@pytest.fixture(scope="module")
def tiny_roberta(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A RoBERTa of 41 places, 40 of them for tokens, and a tokenizer that names no longest text."""
    folder = tmp_path_factory.mktemp("tiny_roberta")
    tokenizer = word_pieces("when did boat leave the harbour fire song a b", 60, 10**30)
    tokenizer.save_pretrained(folder)
    changes = {"pad_token_id": 0, "max_position_embeddings": 41, "vocab_size": len(tokenizer)}
    _model(_config("roberta", changes)).save_pretrained(folder)
    return str(folder)


TEXTS: Rows = [{"text": "fire " * 60, "label": "a"}, {"text": "song " * 60, "label": "b"}]


@pytest.mark.parametrize("head", [None, MeanHead])
def test_texts__of_any_length_train_and_are_answered(
    head: type[MeanHead] | None, tiny_roberta: str, tmp_path: Path
) -> None:
    data = TextClassificationDataModule(tiny_roberta, batch_size=1).with_rows(
        train=TEXTS, val=TEXTS
    )
    assert data.max_length == 40
    module = TextClassifier(tiny_roberta, ["a", "b"], head=head)
    trainer = quiet_trainer(max_steps=2, default_root_dir=tmp_path, enable_checkpointing=False)
    trainer.fit(module, data)
    predictor = Predictor(module, data.processor)
    assert len(predictor([str(row["text"]) for row in TEXTS])) == 2
    assert positions_of(module.model.config) == 40
    with pytest.raises(InputError, match="`max_length` to be at most 40"):
        _ = TextClassificationDataModule(tiny_roberta, max_length=41).max_length


def test_places__that_overrides_take_away_are_told_before_training(
    tiny_roberta: str, tmp_path: Path
) -> None:
    data = TextClassificationDataModule(tiny_roberta, batch_size=1, val_fraction=0)
    data.with_rows(train=TEXTS)
    module = TextClassifier(
        tiny_roberta, ["a", "b"], pretrained=False, config_overrides={"max_position_embeddings": 40}
    )
    trainer = quiet_trainer(max_steps=2, default_root_dir=tmp_path)
    with pytest.raises(InputError, match="`max_length` to be at most 39"):
        trainer.fit(module, data)
