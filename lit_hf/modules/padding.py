"""The padding token: what batches are padded with is what the model is told."""

from collections.abc import Mapping
from typing import cast

from lightning.pytorch import Trainer
from transformers import PreTrainedConfig

from lit_hf.errors import InputError
from lit_hf.modules.data_facts import DataFacts
from lit_hf.pretrained.positions import begins_behind_padding
from lit_hf.pretrained.processors import load_tokenizer


def complete_padding(
    config: PreTrainedConfig,
    trainer: Trainer | None,
    overrides: Mapping[str, object],
    model_name: str | None = None,
) -> None:
    """Tell a model which token its batches are padded with.

    Args:
        config: of the model, changed in place.
        trainer: its data's tokenizer pads the batches.
        overrides: values of the config that were typed, or a whole config.
        model_name: whose tokenizer counts where the Trainer has no data.

    Raises:
        InputError: if another padding token was typed, or if a classifier finds the end of a text
            by the token that it is padded with.
    """
    processor = DataFacts(trainer).processor
    pad = getattr(processor, "pad_token_id", None)  # an image processor has none
    is_whole = "transformers_version" in overrides  # as checkpoints hold it
    if processor is None and model_name is not None and not is_whole:
        pad = _pad_of_model(config, model_name)
    if pad is None:
        return
    ends = getattr(config, "eos_token_id", None)
    if config.is_encoder_decoder and config.problem_type is not None and pad == ends:
        raise InputError(
            f"the tokenizer pads with the end token ({pad}), and the head of {config.model_type!r} "
            "finds the end of a text by it: give the tokenizer a padding token of its own."
        )
    follow_padding(config, pad)
    typed = overrides.get("pad_token_id")
    if "pad_token_id" in overrides and typed != _pad(config) and not is_whole:
        raise InputError(
            f"`config_overrides`: pad_token_id is {typed!r}, but the tokenizer pads with {pad}: "
            "leave it out."
        )


def follow_padding(config: PreTrainedConfig, pad_token_id: int) -> None:
    """Tell a decoder which token its batches are padded with.

    Its ready head reads the last token that is another one, and would read padding for text. What
    an encoder leaves out its attention mask says; some number their places from that token on, and
    some encoder-decoders begin with it, so that those keep what they were trained with.

    Args:
        config: of the model, changed in place.
        pad_token_id: of the tokenizer.
    """
    if _pad(config) is None or _reads_last_token(config):
        config.get_text_config().pad_token_id = pad_token_id


def _pad(config: PreTrainedConfig) -> int | None:
    found: int | None = getattr(config.get_text_config(), "pad_token_id", None)
    return found


def _reads_last_token(config: PreTrainedConfig) -> bool:
    """Whether the ready head of a model may look for the last token that is no padding."""
    return not config.is_encoder_decoder and not begins_behind_padding(config)


def _pad_of_model(config: PreTrainedConfig, model_name: str) -> int | None:
    """What the tokenizer beside a model pads with; without one its first end token."""
    ends, known = getattr(config, "eos_token_id", None), _pad(config)
    if ends is None or (known is not None and not _reads_last_token(config)):
        return known
    try:
        return cast("int", load_tokenizer(model_name).pad_token_id)
    except InputError:  # there is no tokenizer beside the model
        return known if known is not None else ends[0] if isinstance(ends, list) else ends
