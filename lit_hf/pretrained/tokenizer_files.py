"""Writing a tokenizer so that whoever reads its files gets the same tokens."""

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lit_hf.pretrained.special_tokens import (
    SPLIT_SPECIAL,
    special_tokens,
    spelling,
    split_special_tokens,
    still_special,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SETTINGS, _PARTS = "tokenizer_config.json", "tokenizer.json"
# What transformers writes there of the last call, of this machine, or of code of another folder.
_NO_PART_OF_IT = (
    *("max_length", "stride", "truncation_strategy", "pad_to_multiple_of", "truncation", "padding"),
    *("is_local", "local_files_only", "name_or_path", "auto_map"),
)


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
            _take_parts_as_they_are(tokenizer, folder)


@lru_cache(maxsize=1)  # each checkpoint of a training writes the same files
def _is_read_alike(parts: str, settings: str) -> bool:
    """Whether transformers makes of a tokenizer's files the parts that they hold."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    with TemporaryDirectory() as folder:
        (Path(folder) / _PARTS).write_text(parts, encoding="utf-8")
        write_settings(Path(folder), json.loads(settings))
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if SPLIT_SPECIAL in tokenizer.init_kwargs:  # else whoever reads it decides
        split_special_tokens(tokenizer)
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return bool(backend.to_str() == Tokenizer.from_str(parts).to_str())


def _take_parts_as_they_are(tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Let the files of a tokenizer name a class that takes its parts as they are."""
    names = ("model_input_names", "padding_side", "truncation_side", "pad_token_type_id")
    own = {name: getattr(tokenizer, name) for name in names}
    settings = {**read_settings(folder), **own, "tokenizer_class": "PreTrainedTokenizerFast"}
    write_settings(folder, settings)


def forget_calls(folder: Path) -> None:
    """Remove from a tokenizer's files how the last call has cut and padded, and where it was.

    `tokenizers` alone would cut every text by what tokenizer.json holds of it.

    Args:
        folder: of a tokenizer; nothing happens where there is none, as of images.
    """
    from tokenizers import Tokenizer

    if settings := read_settings(folder):
        kept = {name: value for name, value in settings.items() if name not in _NO_PART_OF_IT}
        write_settings(folder, kept)
    path = folder / _PARTS
    if path.is_file():
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.save(str(path))


def limit_to_positions(folder: Path, positions: int | None) -> None:
    """Let a tokenizer's files name no longer input than its model takes.

    Plain transformers cuts there where it is asked to cut and given no length.

    Args:
        folder: of a tokenizer; nothing happens where there is none.
        positions: most tokens that the model takes; None where it has no limit, as T5.
    """
    settings = read_settings(folder)
    limit = settings.get("model_max_length")
    if settings and positions is not None and (not isinstance(limit, int) or limit > positions):
        write_settings(folder, {**settings, "model_max_length": positions})


def write_for_plain(folder: Path, literals: Iterable[str]) -> None:
    """Make plain transformers read texts by the tokenizer of a folder as the training did.

    Of a template with special tokens the texts are put together by whoever uses plain transformers,
    who needs these to be real: then the files do not name the setting.

    Args:
        folder: of a model with its tokenizer.
        literals: what a template holds besides its values.
    """
    from transformers import AutoTokenizer

    settings = read_settings(folder)
    if not settings.get(SPLIT_SPECIAL):
        return
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if any(map(spelling(special_tokens(tokenizer)).search, literals)):
        write_settings(folder, {k: v for k, v in settings.items() if k != SPLIT_SPECIAL})
    elif tokenizer.is_fast and still_special(tokenizer) and not hasattr(tokenizer, "src_lang"):
        # The class of T5's and similar tokenizers makes its parts again, without the cut in
        # tokenizer.json. Those of models that translate also set the language, so they stay.
        _take_parts_as_they_are(tokenizer, folder)


def read_settings(folder: Path) -> dict[str, object]:
    """A tokenizer's settings; {} where there are none."""
    path = folder / _SETTINGS
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return settings if isinstance(settings, dict) else {}


def write_settings(folder: Path, settings: dict[str, object]) -> None:
    """Write a tokenizer's settings, as transformers does."""
    text = json.dumps(settings, indent=2, ensure_ascii=False, sort_keys=True)
    (folder / _SETTINGS).write_text(f"{text}\n", encoding="utf-8")
