"""Models that write their answer: what they need for it, and what comes out.

Letters: N sequences, A tokens of the longest.
"""

import logging
from collections.abc import Mapping
from typing import cast

from lightning.pytorch import Trainer
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError, nearest
from lit_hf.modules.data_facts import DataFacts
from lit_hf.pretrained.positions import positions_of

log = logging.getLogger(__name__)
GenerationValue = bool | int | float | str | None | list[int]
DEFAULTS: dict[str, GenerationValue] = {"max_new_tokens": 32, "num_beams": 1}
# What may be set: the settings under which a prompt has one answer, whatever it is batched with.
# Of each the smallest value.
_COUNTS = {
    "max_new_tokens": 1,
    "min_new_tokens": 0,
    "num_beams": 1,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
}
_FACTORS = ("length_penalty", "repetition_penalty", "encoder_repetition_penalty")
_TOKENS = (
    *("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id"),
    *("forced_bos_token_id", "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens"),
)
_OTHERS = ("early_stopping", "bad_words_ids")
SETTABLE = (*_COUNTS, *_FACTORS, *_TOKENS, *_OTHERS)
# Trained in bfloat16, whose numbers reach further than those of float16: these become NaN.
_NOT_IN_FP16 = ("t5", "mt5", "umt5", "longt5", "switch_transformers")


def check_seq2seq(config: PreTrainedConfig) -> None:
    """Refuse a model that does not read one text and write another.

    Raises:
        InputError: for a model without decoder, or one that does not know how an answer begins or
            is padded.
    """
    if not config.is_encoder_decoder:
        raise InputError(
            f"generative question answering wants a model that reads and writes, such as T5 or "
            f"BART, but {config.model_type!r} has no decoder. `ExtractiveQA` takes it."
        )
    for name, use in (
        ("decoder_start_token_id", "answers begin with it"),
        ("pad_token_id", "answers are padded with it"),
        ("eos_token_id", "answers end with it"),
    ):
        if getattr(config, name, None) is None:
            raise InputError(
                f"the model's config has no `{name}` ({use}): add it to its config.json; of a T5 "
                "`decoder_start_token_id` and `pad_token_id` are 0, `eos_token_id` is 1."
            )


def check_precision(trainer: Trainer, config: PreTrainedConfig) -> None:
    """Refuse a T5 in float16.

    Raises:
        InputError: with the reason.
    """
    precision = str(trainer.precision)
    if config.model_type in _NOT_IN_FP16 and precision.startswith("16"):
        raise InputError(
            f"`trainer.precision: {precision}`: {config.model_type!r} was trained in bfloat16, and "
            "its activations overflow in float16 to NaN. Set bf16-mixed, or 32-true where the "
            "device knows no bfloat16."
        )


def warn_of_cut_answers(data: DataFacts, model: PreTrainedModel) -> None:
    """Warn where longer answers are taught than are written: those score low and nobody sees why.

    Args:
        data: what may teach answers of up to `max_answer_length` tokens.
        model: with the settings by which it writes.
    """
    taught = data.max_answer_length or 0
    written = model.generation_config.max_new_tokens
    if isinstance(written, int) and written < taught:
        log.warning(
            f"answers of up to {taught} tokens are taught (`max_answer_length`), but at most "
            f"{written} are written (`generation.max_new_tokens`): longer ones are cut, in "
            "scores and predictions. Set both alike."
        )


def default_generation(
    config: PreTrainedConfig, length: int | None, trainer: Trainer | None
) -> dict[str, GenerationValue]:
    """The settings that count where none are given.

    Args:
        config: of a model that writes no longer answers than its decoder has positions.
        length: tokens of the longest answer that is taught, its end included; None where that is
            not known.
        trainer: its data's tokenizer says what is padding, where there is one.
    """
    limit = positions_of(config, "decoder") or 2**31
    longest = cast("int", DEFAULTS["max_new_tokens"]) if length is None else length
    processor = DataFacts(trainer).processor
    pad = getattr(processor, "pad_token_id", None)
    padding = {} if processor is None else {"pad_token_id": pad}
    return {**DEFAULTS, "max_new_tokens": min(longest, limit - 1), **padding}


def follow_data(
    trainer: Trainer,
    model: PreTrainedModel | None,
    given: Mapping[str, GenerationValue],
    length: int | None,
) -> int | None:
    """Let a model write as long answers as the data teaches, if nobody told it how long.

    Args:
        trainer: its data knows its `max_answer_length`, or does not.
        model: changed in place; None where it is not there yet.
        given: the settings of the generation that were typed.
        length: the longest answer that was taught before.

    Returns:
        The longest answer that is taught, in tokens; `length` where the data does not know it.
    """
    taught = DataFacts(trainer).max_answer_length or length
    if model is not None:
        written = model.generation_config
        before, now = (default_generation(model.config, n, trainer) for n in (length, taught))
        if written.max_new_tokens != before["max_new_tokens"]:  # set by hand
            now.pop("max_new_tokens")
        for name in now.keys() - {*given, "num_beams"}:
            setattr(written, name, now[name])
    return taught


def check_settings(values: object) -> dict[str, GenerationValue]:
    """The settings that were given; {} for none.

    Raises:
        InputError: if they are no dict.
    """
    if values is not None and not isinstance(values, dict):
        raise InputError(f"Expected `generation` to be a dict, but got {values!r}.")
    return dict(values or {})


def set_generation(model: PreTrainedModel, values: Mapping[str, GenerationValue]) -> None:
    """Give a model the settings by which it writes; its exports keep them as `generation_config`.

    Of the settings that came with the model only those that name tokens stay: how many beams, and
    how long an answer has to be, is said here, not by what the model was once made for.

    Raises:
        InputError: if there is no such setting, or its value cannot be.
    """
    held = model.generation_config.to_dict()
    kept = {name: held[name] for name in (*_TOKENS, "bad_words_ids") if name in held}
    for name, value in values.items():
        _check_value(name, value, model.config)
    wanted = {**kept, **values}
    if wanted.get("num_beams") == 1 and wanted.get("early_stopping") is not None:
        raise InputError("`generation`: `early_stopping` is for `num_beams` of 2 or more.")
    try:
        changed = GenerationConfig.from_dict(wanted)
        changed.validate(strict=True)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"`generation`: {reason}") from error
    model.generation_config = changed


def _check_value(name: str, value: object, config: PreTrainedConfig) -> None:
    """Refuse a setting that is none of ours, or a value that would break when an answer begins."""
    if name not in SETTABLE:
        hint = nearest(name, SETTABLE) or f" Known are {', '.join(SETTABLE)}."
        if name in ("max_length", "min_length"):
            hint = f" Set `{name.replace('length', 'new_tokens')}`."
        if name == "do_sample":
            hint = " An answer drawn at random would be another one in every batch."
        raise InputError(f"`generation`: {name!r} cannot be set.{hint}")
    if value is None and name not in _COUNTS:
        return
    wanted = _wanted(name, value, config)
    if wanted:
        raise InputError(f"`generation`: {name} wants {wanted}, but got {value!r}.")


def _wanted(name: str, value: object, config: PreTrainedConfig) -> str:
    """What a setting wants where its value is none of that; "" where it can be."""
    if name in _COUNTS:
        limit = positions_of(config, "decoder") if name == "max_new_tokens" else None
        if type(value) is not int or value < _COUNTS[name]:
            return f"{_COUNTS[name]} or more"
        if limit is not None and value >= limit:
            return f"less than {limit}, the positions of the model"
    if name in _FACTORS and (type(value) not in (int, float) or cast("float", value) <= 0):
        return (
            "" if name == "length_penalty" and type(value) in (int, float) else "a number above 0"
        )
    if name in _TOKENS:
        tokens = value if isinstance(value, list) else [value]
        size = getattr(config, "vocab_size", None) or 2**31
        if not all(type(token) is int and 0 <= token < size for token in tokens):
            return f"tokens 0..{size - 1}"
    return ""


def plain_generation(model: PreTrainedModel) -> dict[str, GenerationValue]:
    """The settings by which a model writes, those that are set, in plain types."""
    held = model.generation_config.to_dict()
    return {name: held[name] for name in SETTABLE if held.get(name) is not None}


def ends_of(model: PreTrainedModel) -> list[int]:
    """The tokens that end an answer."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        return []
    return [ends] if isinstance(ends, int) else [int(end) for end in ends]
