"""What of a tokenizer determines its tokens, in one short text for the key of cached rows."""

import inspect
import json
from typing import TYPE_CHECKING

import tokenizers
import transformers
from datasets.fingerprint import Hasher

from lit_hf.data.cache import key_of
from lit_hf.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# What a tokenizer keeps besides: its place on this machine, what it was made of (the backend holds
# what became of that), and what belongs to a call or to messages.
_NO_PART_OF_IT = (
    *("_tokenizer", "_vocab", "_merges", "init_inputs", "init_kwargs", "name_or_path"),
    *("vocab_file", "merges_file", "spm_file", "files_loaded"),
    *("deprecation_warnings", "verbose", "_in_target_context_manager"),
)
_VERSIONS = [tokenizers.__version__, transformers.__version__]


def stamp_of(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Names what a tokenizer makes of texts; how long texts were cut at last is no part of it.

    Every attribute counts, such as which end of a text is cut, which token stands for "no answer"
    and what the language of an answer is, and the code of a class of the user's own.

    Raises:
        InputError: if a part of it is Python code that nobody can compare or save.
    """
    try:
        backend = json.loads(tokenizer.backend_tokenizer.to_str())
    except Exception as error:  # the class that `tokenizers` raises, for lack of one of its own
        raise InputError(
            f"the tokenizer {type(tokenizer).__name__} cannot be saved ({error}), so that no "
            "checkpoint could hold it; build it of the parts of `tokenizers` alone."
        ) from error
    attributes = {k: v for k, v in vars(tokenizer).items() if k not in _NO_PART_OF_IT}
    settings = json.dumps(attributes, default=Hasher.hash, sort_keys=True)
    return key_of(
        {**backend, "truncation": None, "padding": None},
        settings,
        [_code_of(kind) for kind in type(tokenizer).__mro__],
        _VERSIONS,
    )


def _code_of(kind: type) -> str:
    """The name of a class, with its code where that is not of a library of a known version."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.split(".")[0] in ("transformers", "builtins"):
        return name
    try:
        return name + inspect.getsource(kind)
    except (OSError, TypeError):  # typed at a prompt
        return f"{name}{Hasher.hash(kind)}"
