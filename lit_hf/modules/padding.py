"""The padding token: the one of the batches is the one of the model's config."""

from typing import cast

from lightning.pytorch import Trainer
from transformers import PreTrainedConfig

from lit_hf.errors import InputError
from lit_hf.modules.data_facts import DataFacts
from lit_hf.pretrained.positions import begins_behind_padding
from lit_hf.pretrained.tokenizers import load_tokenizer


def complete_padding(
    config: PreTrainedConfig, trainer: Trainer | None, model_name: str | None = None
) -> None:
    """Tell a model which token its batches are padded with.

    Args:
        config: of the model, changed in place.
        trainer: its data's tokenizer pads the batches.
        model_name: whose tokenizer counts where the Trainer has no data; None where the config, as
            that of a checkpoint, knows it.
    """
    processor = DataFacts(trainer).processor
    may_read = getattr(config, "eos_token_id", None) is not None and _reads_last_token(config)
    pad = getattr(processor, "pad_token_id", None)  # an image processor has none
    if processor is None and model_name is not None and may_read:
        pad = _pad_beside(model_name, config)
    if pad is not None:
        follow_padding(config, pad)


def follow_padding(config: PreTrainedConfig, pad_token_id: int) -> None:
    """Tell a decoder which token its batches are padded with.

    Its ready head reads the last token that is another one, and would read padding for text. What
    an encoder leaves out its attention mask says; some number their positions from that token on,
    and some encoder-decoders begin with it, so that those keep what they were trained with.

    Args:
        config: of the model, changed in place.
        pad_token_id: of the tokenizer.
    """
    text_config = config.get_text_config()
    if getattr(text_config, "pad_token_id", None) is None or _reads_last_token(config):
        text_config.pad_token_id = pad_token_id


def _reads_last_token(config: PreTrainedConfig) -> bool:
    """Whether the ready head of a model may look for the last token that is no padding."""
    return not config.is_encoder_decoder and not begins_behind_padding(config)


def _pad_beside(model_name: str, config: PreTrainedConfig) -> int | None:
    """What the tokenizer beside a model pads with; without one its own, or its first end token."""
    try:
        return cast("int", load_tokenizer(model_name).pad_token_id)
    except InputError:
        ends: int | list[int] = config.eos_token_id
        own: int | None = config.get_text_config().pad_token_id
        return own if own is not None else ends[0] if isinstance(ends, list) else ends
