from typing import Any

import pytest
from transformers import (
    AutoModelForSeq2SeqLM,
    BartConfig,
    BertConfig,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    T5Config,
)

from lit_hf.errors import InputError
from lit_hf.modules.decoding.generation import (
    check_precision,
    check_seq2seq,
    ends_of,
    plain_generation,
    set_generation,
)
from lit_hf.pretrained.models import from_config
from tests.trainers import MakeTrainer

START: dict[str, Any] = {"decoder_start_token_id": 0}  # which the type of T5's config lacks


@pytest.fixture
def model(tiny_t5: str) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForSeq2SeqLM.from_pretrained(tiny_t5)
    return model


def test_generation__is_set_and_told_in_plain_types(model: PreTrainedModel) -> None:
    set_generation(model, {"num_beams": 4, "max_new_tokens": 9, "eos_token_id": [1, 5]})
    kept = plain_generation(model)
    assert (kept["num_beams"], kept["max_new_tokens"], kept["eos_token_id"]) == (4, 9, [1, 5])
    assert ends_of(model) == [1, 5]
    again = from_config(AutoModelForSeq2SeqLM, model.config)
    set_generation(again, kept)
    assert again.generation_config.to_dict() == model.generation_config.to_dict()


def test_folder__keeps_its_tokens_and_nothing_else(model: PreTrainedModel) -> None:
    """What a model once was made for, such as long summaries, would change the scores unnoticed."""
    said = {"min_length": 56, "num_beams": 4, "early_stopping": True, "do_sample": True}
    tokens = {"forced_eos_token_id": 1, "bad_words_ids": [[0]], "eos_token_id": 1}
    model.generation_config = GenerationConfig.from_dict({**said, **tokens})
    set_generation(model, {"num_beams": 1, "max_new_tokens": 5})
    wanted = {"num_beams": 1, "max_new_tokens": 5, "eos_token_id": 1}
    assert plain_generation(model) == {
        **wanted,
        "forced_eos_token_id": 1,
        "bad_words_ids": [[0]],
    }


def test_answers__are_no_longer_than_the_decoder_reaches() -> None:
    bart = _bart()
    set_generation(bart, {"max_new_tokens": 39})
    with pytest.raises(InputError, match="less than 40"):
        set_generation(bart, {"max_new_tokens": 40})


def _bart() -> PreTrainedModel:
    config = BartConfig(max_position_embeddings=40, vocab_size=99, d_model=16)
    config.encoder_layers = config.decoder_layers = 1
    model: PreTrainedModel = AutoModelForSeq2SeqLM.from_config(config)  # type: ignore[no-untyped-call]  # has no types
    return model


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (BertConfig(), "'bert' has no decoder"),
        (T5Config(), "no `decoder_start_token_id`"),
        (T5Config(**START, pad_token_id=None), "no `pad_token_id`"),
        (BartConfig(eos_token_id=None), "no `eos_token_id`"),
    ],
)
def test_config__that_lacks_something_is_refused(config: PreTrainedConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_seq2seq(config)


@pytest.mark.parametrize("precision", ["16-true", "bf16-mixed", "32-true"])
def test_t5__in_float16_is_refused_with_the_reason(
    make_trainer: MakeTrainer, precision: str
) -> None:
    trainer = make_trainer(precision=precision)
    check_precision(trainer, BartConfig())
    if precision == "16-true":
        with pytest.raises(InputError, match="overflows"):
            check_precision(trainer, T5Config())
    else:
        check_precision(trainer, T5Config())
