"""Loading tokenizers with one clear error for whatever can go wrong."""

from pathlib import Path
from typing import TYPE_CHECKING

from lit_hf.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


def load_tokenizer(model_name: str) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a Hub id or folder; a missing padding token becomes the end token.

    Raises:
        InputError: if there is none, it cannot be reached or it has no fast version.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model_name)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise not_loadable(model_name, "tokenizer", error) from error
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
        config: PreTrainedConfig = AutoConfig.from_pretrained(model_name)
        return config
    except (OSError, ValueError, KeyError, TypeError, StrictDataclassError) as error:
        raise not_loadable(model_name, "config", error) from error


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
