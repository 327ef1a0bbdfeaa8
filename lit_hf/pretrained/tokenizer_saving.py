"""Writing a tokenizer so that whoever reads its files gets the same tokens."""

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lit_hf.files.scratch import OTHER_SCRATCH, scratch_folder
from lit_hf.files.write_errors import naming
from lit_hf.pretrained.special_tokens import KEY, settle, take_parts_as_they_are
from lit_hf.pretrained.tokenizer_files import forget_calls, read_settings, write_settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PARTS = "tokenizer.json"


def save_tokenizer(tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Write a tokenizer as a Hugging Face folder, the same one whatever it has encoded before.

    Where it pads and cuts, and which columns it gives, is written, too: transformers leaves that to
    the default of the class.
    The classes of many models make their parts again when they are loaded, whatever tokenizer.json
    says. Where that gives other parts, as after a change of the normaliser, the files name a class
    that takes them as they are; not of models that translate, whose class sets the language.
    """
    tokenizer.save_pretrained(folder)
    own = {name: getattr(tokenizer, name) for name in ("padding_side", "truncation_side")}
    if tokenizer.model_input_names != type(tokenizer).model_input_names:
        own["model_input_names"] = tokenizer.model_input_names
    write_settings(folder, {**read_settings(folder), **own})
    forget_calls(folder)
    if (folder / _PARTS).is_file() and not hasattr(tokenizer, "src_lang"):
        parts = (folder / _PARTS).read_text(encoding="utf-8")
        if not _is_read_alike(parts, json.dumps(read_settings(folder))):
            take_parts_as_they_are(tokenizer, folder)


@lru_cache(maxsize=1)  # of one checkpoint after the other
def _is_read_alike(parts: str, settings: str) -> bool:
    """Whether transformers makes of a tokenizer's files the parts that they hold."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    with scratch_folder() as name:
        folder = Path(name)
        with naming(folder, remedy=OTHER_SCRATCH):
            (folder / _PARTS).write_text(parts, encoding="utf-8")
            write_settings(folder, json.loads(settings))
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if KEY in tokenizer.init_kwargs:  # else it is settled by whoever reads it
        settle(tokenizer)
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return bool(backend.to_str() == Tokenizer.from_str(parts).to_str())
