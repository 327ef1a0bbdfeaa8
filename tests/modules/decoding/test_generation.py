from types import SimpleNamespace
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

from lit_hf import GenerativeQADataModule
from lit_hf.errors import InputError
from lit_hf.modules.decoding.generation import (
    check_precision,
    check_seq2seq,
    check_settings,
    default_generation,
    ends_of,
    follow_data,
    plain_generation,
    set_generation,
    warn_of_cut_answers,
)
from lit_hf.pretrained.models import from_config
from tests.facts import facts_of
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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_beam": 4}, "'num_beam' cannot be set. Did you mean 'num_beams'"),
        ({"num_return_sequences": 2}, "'num_return_sequences' cannot be set"),
        ({"temperature": 0.5}, "'temperature' cannot be set. Known are max_new_tokens"),
        ({"do_sample": True}, "drawn at random would be another one in every batch"),
        ({"max_length": 9}, "'max_length' cannot be set. Set `max_new_tokens`"),
        ({"validate": 1}, "'validate' cannot be set"),
        ({"max_new_tokens": 0}, "max_new_tokens wants 1 or more"),
        ({"max_new_tokens": 2.5}, "max_new_tokens wants 1 or more"),
        ({"max_new_tokens": None}, "max_new_tokens wants 1 or more"),
        ({"num_beams": "four"}, "num_beams wants 1 or more, but got 'four'"),
        ({"num_beams": True}, "num_beams wants 1 or more"),
        ({"num_beams": 0}, "num_beams wants 1 or more"),
        ({"no_repeat_ngram_size": -2}, "no_repeat_ngram_size wants 0 or more"),
        ({"repetition_penalty": -1}, "repetition_penalty wants a number above 0"),
        ({"length_penalty": "x"}, "length_penalty wants a number"),
        ({"forced_bos_token_id": 99999}, r"forced_bos_token_id wants tokens 0\.\.599"),
        ({"eos_token_id": "x"}, "eos_token_id wants tokens"),
        ({"early_stopping": True, "num_beams": 1}, "`early_stopping` is for `num_beams` of 2"),
    ],
)
def test_generation__that_cannot_be_is_refused(
    model: PreTrainedModel, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        set_generation(model, values)


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
    with pytest.raises(InputError, match="max_new_tokens wants less than 40"):
        set_generation(bart, {"max_new_tokens": 40})


def _bart() -> PreTrainedModel:
    config = BartConfig(max_position_embeddings=40, vocab_size=99, d_model=16)
    config.encoder_layers = config.decoder_layers = 1
    model: PreTrainedModel = AutoModelForSeq2SeqLM.from_config(config)  # type: ignore[no-untyped-call]  # has no types
    return model


def _trainer(pad: int = 1, **data: object) -> Any:  # noqa: ANN401 - what stands for a Trainer
    processor = SimpleNamespace(pad_token_id=pad)
    return SimpleNamespace(datamodule=SimpleNamespace(processor=processor, **data))


def test_answers__are_as_long_by_default_as_those_taught() -> None:
    config = _bart().config
    assert default_generation(config, None, None) == {"max_new_tokens": 32, "num_beams": 1}
    assert default_generation(config, 12, None)["max_new_tokens"] == 12
    assert default_generation(config, 40, None)["max_new_tokens"] == 39  # the decoder's places
    assert default_generation(config, None, _trainer(pad=5))["pad_token_id"] == 5


def test_answers__of_a_model_that_is_there_follow_the_data() -> None:
    model = _bart()
    set_generation(model, {**default_generation(model.config, None, None), "num_beams": 3})
    assert follow_data(_trainer(max_answer_length=20, pad=5), model, {}, None) == 20
    kept = plain_generation(model)
    assert (kept["max_new_tokens"], kept["num_beams"], kept["pad_token_id"]) == (20, 3, 5)
    typed: Any = {"max_new_tokens": 20, "pad_token_id": 5}
    assert follow_data(_trainer(max_answer_length=9), model, typed, 20) == 9
    assert plain_generation(model) == kept
    assert follow_data(_trainer(pad=5), model, {}, 20) == 20  # other data, that does not say it
    assert follow_data(_trainer(max_answer_length=9), None, {}, 20) == 9
    assert plain_generation(model) == kept
    model.generation_config.max_new_tokens = 7  # by hand
    follow_data(_trainer(max_answer_length=9, pad=5), model, {}, 20)
    assert plain_generation(model) == {**kept, "max_new_tokens": 7}


@pytest.mark.parametrize("values", [[1], "num_beams=4", 7])
def test_settings__that_are_no_dict_are_refused(values: object) -> None:
    with pytest.raises(InputError, match="`generation` to be a dict"):
        check_settings(values)


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


def test_ends__may_be_none_or_one(model: PreTrainedModel) -> None:
    assert ends_of(model) == [1]
    model.generation_config.eos_token_id = None
    assert ends_of(model) == []


@pytest.mark.parametrize(("taught", "is_told"), [(64, True), (32, False)])
def test_answers__longer_than_those_written_are_told(
    model: PreTrainedModel, caplog: pytest.LogCaptureFixture, taught: int, is_told: bool
) -> None:
    data = GenerativeQADataModule("any", max_answer_length=taught)
    set_generation(model, {"max_new_tokens": 32})
    warn_of_cut_answers(facts_of(data), model)
    assert ("at most 32 are written" in caplog.text) == is_told
    warn_of_cut_answers(facts_of(None), model)
