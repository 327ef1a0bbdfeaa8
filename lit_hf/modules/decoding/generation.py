"""The settings by which a model writes its answers, and what it needs for that."""

from collections.abc import Mapping
from typing import cast

from lightning.pytorch import Trainer
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError, nearest
from lit_hf.modules.data_facts import DataFacts
from lit_hf.pretrained.positions import positions_of

GenerationValue = bool | int | float | str | None | list[int]
DEFAULTS: dict[str, GenerationValue] = {"max_new_tokens": 32, "num_beams": 1}
# What may be set: the settings under which a prompt has one answer, whatever it is batched with.
_TOKENS = (
    *("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id", "bad_words_ids"),
    *("forced_bos_token_id", "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens"),
)
SETTABLE = (
    *("max_new_tokens", "min_new_tokens", "num_beams", "early_stopping", "no_repeat_ngram_size"),
    *("encoder_no_repeat_ngram_size", "length_penalty", "repetition_penalty"),
    *("encoder_repetition_penalty", *_TOKENS),
)
# Trained in bfloat16, whose numbers reach further than those of float16: these become NaN.
_NOT_IN_FP16 = ("t5", "mt5", "umt5", "longt5", "switch_transformers")


def check_seq2seq(config: PreTrainedConfig) -> None:
    """Refuse a model that does not read one text and write another.

    Raises:
        InputError: for a model without decoder, or one that does not know how an answer begins,
            ends or is padded.
    """
    if not config.is_encoder_decoder:
        raise InputError(
            f"generative question answering takes a model that reads and writes, such as T5 or "
            f"BART, but {config.model_type!r} has no decoder. `ExtractiveQA` takes it."
        )
    for name in ("decoder_start_token_id", "pad_token_id", "eos_token_id"):
        if getattr(config, name, None) is None:
            raise InputError(
                f"the model's config has no `{name}`: add it to its config.json; of a T5 "
                "`decoder_start_token_id` and `pad_token_id` are 0, `eos_token_id` is 1."
            )


def check_precision(trainer: Trainer, config: PreTrainedConfig) -> None:
    """Refuse a T5 in float16.

    Raises:
        InputError: with the reason.
    """
    if config.model_type in _NOT_IN_FP16 and str(trainer.precision).startswith("16"):
        raise InputError(
            f"`trainer.precision: {trainer.precision}`: {config.model_type!r} overflows in float16 "
            "to NaN. Set bf16-mixed, or 32-true where the device has no bfloat16."
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
    pad = getattr(DataFacts(trainer).processor, "pad_token_id", None)
    padding = {} if pad is None else {"pad_token_id": pad}
    return {**DEFAULTS, "max_new_tokens": min(longest, limit - 1), **padding}


def set_generation(model: PreTrainedModel, values: Mapping[str, GenerationValue]) -> None:
    """Give a model the settings by which it writes; its exports keep them as `generation_config`.

    Of the settings that came with the model only those that name tokens stay: how many beams, and
    how long an answer is, is not what the model was once made for.

    Raises:
        InputError: if there is no such setting, or its value cannot be.
    """
    kept = model.generation_config.to_dict()
    settings = {**{name: kept[name] for name in _TOKENS if name in kept}, **values}
    for name in values:
        if name not in SETTABLE:
            raise InputError(
                f"`generation`: {name!r} cannot be set: each prompt has one answer, whatever it is "
                f"batched with.{nearest(name, SETTABLE)} Known are {', '.join(SETTABLE)}."
            )
    length, limit = settings.get("max_new_tokens"), positions_of(model.config, "decoder")
    if not isinstance(length, int) or not 1 <= length < (limit or 2**31):
        raise InputError(
            f"`generation`: `max_new_tokens` is at least 1 and less than {limit or 'infinite'}, "
            f"the positions of the model, but got {length!r}."
        )
    try:
        changed = GenerationConfig.from_dict(settings)
        changed.validate(strict=True)
    except (ValueError, TypeError) as error:
        raise InputError(f"`generation`: {' '.join(str(error).split())[:300]}") from error
    model.generation_config = changed


def plain_generation(model: PreTrainedModel) -> dict[str, GenerationValue]:
    """The settings by which a model writes, those that are set, in plain types."""
    kept = model.generation_config.to_dict()
    return {name: kept[name] for name in SETTABLE if kept.get(name) is not None}


def ends_of(model: PreTrainedModel) -> list[int]:
    """The tokens that end an answer."""
    ends = model.generation_config.eos_token_id
    return [] if ends is None else [ends] if isinstance(ends, int) else [int(end) for end in ends]
