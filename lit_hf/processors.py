"""Loading tokenizers with one clear error for whatever can go wrong."""

from pathlib import Path
from typing import TYPE_CHECKING

from lit_hf.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


def load_tokenizer(model_name: str) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a Hub id or folder; a missing padding token becomes the end token.

    Raises:
        InputError: if there is none, it cannot be reached or it has no fast version.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model_name, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise not_loadable(model_name, "tokenizer", error) from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # made up, where the files are missing
        raise InputError(
            f"model {model_name!r}: there is no tokenizer with it (no tokenizer.json and no "
            "vocabulary); copy the tokenizer's files of the base model into the folder."
        )
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise InputError(f"{model_name}: the tokenizer has neither padding nor end token.")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_config(model_name: str) -> "PreTrainedConfig":
    """Load the config of a Hub id or folder.

    Raises:
        InputError: if there is none or it cannot be reached.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(model_name, trust_remote_code=False)
        return config
    except (OSError, ValueError, KeyError, TypeError, StrictDataclassError) as error:
        raise not_loadable(model_name, "config", error) from error


def longest_input(tokenizer: "PreTrainedTokenizerBase", model_name: str) -> int:
    """The longest input in tokens that tokenizer and model allow; 512 where neither says."""
    limits = [tokenizer.model_max_length]
    positions = getattr(load_config(model_name), "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        limits.append(positions)
    return min(limits) if min(limits) < 10**6 else 512


def positions_of(config: "PreTrainedConfig", part: str) -> int | None:
    """How many tokens the encoder or the decoder takes; None where that has no limit, as of T5."""
    for name in (f"max_{part}_position_embeddings", "max_position_embeddings"):
        limit = getattr(config, name, None)
        if isinstance(limit, int) and limit > 0:
            return limit
    return None


def check_vocabulary(tokenizer: "PreTrainedTokenizerBase", model_name: str) -> None:
    """Refuse a tokenizer that knows more tokens than the model.

    Raises:
        InputError: naming both numbers.
    """
    vocab_size = getattr(load_config(model_name), "vocab_size", None)
    if vocab_size is not None and len(tokenizer) > vocab_size:
        raise InputError(
            f"{model_name}: the tokenizer knows {len(tokenizer)} tokens, the model {vocab_size}; "
            "they do not belong together."
        )


def save_tokenizer(tokenizer: "PreTrainedTokenizerBase", folder: Path, max_length: int) -> None:
    """Write a tokenizer as a Hugging Face folder that cuts where the data was cut."""
    limit = tokenizer.model_max_length
    try:
        tokenizer.model_max_length = max_length
        tokenizer.save_pretrained(folder)
    finally:
        tokenizer.model_max_length = limit


def files_of(folder: Path) -> "dict[str, Tensor]":
    """The files of a folder as bytes in tensors, by their names; empty ones are left out."""
    import torch

    return {
        str(path.relative_to(folder)): torch.frombuffer(
            bytearray(path.read_bytes()), dtype=torch.uint8
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.stat().st_size
    }


def not_loadable(model_name: str, part: str, error: Exception) -> InputError:
    """Say in one line why a model cannot be loaded and what to do."""
    if model_name.startswith(("/", "./", "../", "~")) and not Path(model_name).is_dir():
        return InputError(f"model {model_name!r}: there is no such folder.")
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
    return InputError(
        f"model {model_name!r}: the {part} cannot be loaded ({reason[:200]}). Give a folder with "
        "config.json or a Hub id that can be reached; a gated model needs HF_TOKEN in the "
        "environment."
    )
