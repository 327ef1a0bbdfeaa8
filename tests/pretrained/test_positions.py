"""Places for tokens: what is said of each family against what its embedding holds."""

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    PreTrainedConfig,
    PreTrainedModel,
)

from lit_hf import (
    ExtractiveQA,
    ExtractiveQADataModule,
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
SIZES = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "emb_dim", "embedding_size", "dim"), 24),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_key_value_heads"), 2),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads", "n_langs"), 2),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 1),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers"), 1),
    **dict.fromkeys(("num_encoder_layers", "num_encoder_attention_heads"), 1),
    **dict.fromkeys(("num_decoder_attention_heads", "channel_shrink_ratio"), 1),
    **dict.fromkeys(("intermediate_size", "d_ff", "hidden_dim", "ffn_dim", "n_inner"), 24),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "head_dim", "d_kv"), 12),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 40),
    **dict.fromkeys(("max_encoder_position_embeddings", "max_decoder_position_embeddings"), 40),
    **{"vocab_size": 60, "max_2d_position_embeddings": 8, "coordinate_size": 4, "shape_size": 4},
    **{"visual_embed": False, "attention_window": 16, "languages": ["en_XX"], "ngram": 2},
    **{"input_embedding_size": 24, "pooler_hidden_size": 24, "entity_vocab_size": 9},
}
# The family, what is set otherwise, and how many of 40 places are left for tokens.
READERS: list[tuple[str, dict[str, Any], int | None]] = [
    *((kind, {}, 40) for kind in ("albert", "bert", "big_bird", "biogpt", "distilbert", "electra")),
    *((kind, {}, 40) for kind in ("ernie", "gpt2", "gpt_neo", "layoutlm", "opt", "openai-gpt")),
    *((kind, {}, 40) for kind in ("deberta", "deberta-v2", "roformer", "squeezebert", "xlm")),
    *((kind, {}, 38) for kind in ("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3")),
    *((kind, {}, 38) for kind in ("lilt", "longformer", "luke", "markuplm", "roberta", "xmod")),
    *((kind, {}, 38) for kind in ("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl")),
    *((kind, {"pad_token_id": 0}, 39) for kind in ("roberta", "esm", "luke")),
    ("roberta", {"pad_token_id": 5}, 34),
    *(("mpnet", {"pad_token_id": number}, 38) for number in (0, 1, 5)),
    ("deberta-v2", {"position_biased_input": False, "relative_attention": True}, None),
    *((kind, {}, None) for kind in ("bloom", "mpt")),
]
WRITERS: list[tuple[str, dict[str, Any], tuple[int | None, int | None]]] = [
    *((kind, {}, (40, 40)) for kind in ("bart", "blenderbot", "marian", "mbart", "pegasus")),
    ("led", {}, (32, 40)),
    ("t5", {"decoder_start_token_id": 0}, (None, None)),
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
    if config.model_type == "xmod":
        cast("Any", model).set_default_language("en_XX")
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
    ("kind", "changes", "wanted"), READERS, ids=[f"{r[0]}-{r[2]}-{r[1]}" for r in READERS]
)
def test_positions__are_those_of_the_embedding(
    kind: str, changes: dict[str, Any], wanted: int | None
) -> None:
    config = _config(kind, changes)
    assert positions_of(config) == wanted
    model = _model(config)
    assert _takes(model, "input_ids", wanted or 90)
    assert wanted is None or not _takes(model, "input_ids", wanted + 1)


@pytest.mark.parametrize(("kind", "changes", "wanted"), WRITERS, ids=[w[0] for w in WRITERS])
def test_positions__of_what_is_read_and_what_is_written(
    kind: str, changes: dict[str, Any], wanted: tuple[int | None, int | None]
) -> None:
    config = _config(kind, changes)
    limits = positions_of(config), positions_of(config, "decoder")
    assert limits == wanted
    model = _model(config)
    for name, limit in zip(("input_ids", "decoder_input_ids"), limits, strict=True):
        assert _takes(model, name, limit or 90)
        assert limit is None or not _takes(model, name, limit + 1)


def test_positions__of_a_decoder_that_looks_a_token_ahead() -> None:
    """ProphetNet's; its encoder gives all tokens behind the last place that very place."""
    config = _config("prophetnet", {"pad_token_id": 0})
    assert (positions_of(config), positions_of(config, "decoder")) == (39, 38)
    model = _model(config)
    assert _takes(model, "decoder_input_ids", 38)
    assert not _takes(model, "decoder_input_ids", 39)


def test_positions__that_turn_with_the_token_are_those_that_the_config_names() -> None:
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
QUESTION = ("when did boat leave?", "the boat leave the harbour " * 20)


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


def test_questions__of_any_length_are_answered(tiny_roberta: str) -> None:
    with pytest.raises(InputError, match="`max_length` to be at most 40"):
        ExtractiveQADataModule(tiny_roberta).with_rows(
            predict=[{"question": QUESTION[0], "context": QUESTION[1]}]
        ).prepare_data()
    module = ExtractiveQA(tiny_roberta)
    tokenizer = word_pieces("when did boat leave the harbour fire song a b", 60, 10**30)
    for settings in ({}, {"max_length": 41, "doc_stride": 8}):  # as it was trained before
        (answer,) = Predictor(module, tokenizer, settings)([QUESTION])
        assert answer["prediction"]


def test_length__that_was_typed_may_be_above_what_the_tokenizer_names(tiny_model: str) -> None:
    """Such as that of a trained model, which names the length of its training."""
    data = TextClassificationDataModule(tiny_model, max_length=100)
    data.processor.model_max_length = 12
    assert data.max_length == 100
    shorter = TextClassificationDataModule(tiny_model)
    shorter.processor.model_max_length = 12
    assert shorter.max_length == 12


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
