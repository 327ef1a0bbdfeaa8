from typing import Any

import pytest
from transformers import (
    AutoModelForSeq2SeqLM,
    BartConfig,
    BertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    T5Config,
)

from lit_hf.errors import InputError
from lit_hf.modules.generation import (
    check_precision,
    check_seq2seq,
    ends_of,
    is_sharded,
    plain_generation,
    set_generation,
)
from lit_hf.modules.loading import from_config
from tests.modules.conftest import MakeTrainer

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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_beam": 4}, "no 'num_beam'. Did you mean 'num_beams'"),
        ({"num_return_sequences": 2}, "'num_return_sequences' cannot be set"),
        ({"temperature": 0.5}, "`do_sample` is not set to `True`"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
    ],
)
def test_generation__that_cannot_be_is_refused(
    model: PreTrainedModel, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        set_generation(model, values)


def test_older_limit__gives_way(model: PreTrainedModel) -> None:
    set_generation(model, {"max_length": 7})
    assert model.generation_config.max_length == 7
    set_generation(model, {"max_new_tokens": 5})
    assert model.generation_config.max_length is None


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


def test_config__of_a_model_that_writes_is_taken() -> None:
    check_seq2seq(BartConfig())
    check_seq2seq(T5Config(**START))


@pytest.mark.parametrize("precision", ["16-true", "bf16-mixed", "32-true"])
def test_t5__in_float16_is_refused_with_the_reason(
    make_trainer: MakeTrainer, precision: str
) -> None:
    trainer = make_trainer(precision=precision)
    check_precision(trainer, BartConfig())
    if precision == "16-true":
        with pytest.raises(InputError, match="trained in bfloat16"):
            check_precision(trainer, T5Config())
    else:
        check_precision(trainer, T5Config())


def test_weights__of_one_device_are_not_sharded(make_trainer: MakeTrainer) -> None:
    assert not is_sharded(None)
    assert not is_sharded(make_trainer())


def test_ends__may_be_none_or_one(model: PreTrainedModel) -> None:
    assert ends_of(model) == [1]
    model.generation_config.eos_token_id = None
    assert ends_of(model) == []
