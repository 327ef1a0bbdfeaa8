"""The files of a tokenizer: what it is, without what its last call and its loading left in them."""

import json
from pathlib import Path

_SETTINGS = "tokenizer_config.json"
# What transformers keeps there of a call, of the machine, or of code of another folder.
_NO_PART_OF_IT = (
    *("max_length", "stride", "truncation_strategy", "pad_to_multiple_of", "truncation", "padding"),
    *("is_local", "local_files_only", "name_or_path", "auto_map"),
)


def forget_calls(folder: Path) -> None:
    """Take from a tokenizer's files how a call has cut and padded, and where they were loaded from.

    A fast tokenizer keeps the first as a state, and `tokenizers` alone would cut every text by it.

    Args:
        folder: of a tokenizer; nothing happens where there is none, as of images.
    """
    from tokenizers import Tokenizer

    settings = read_settings(folder)
    if settings.keys() & _NO_PART_OF_IT:
        kept = {name: value for name, value in settings.items() if name not in _NO_PART_OF_IT}
        write_settings(folder, kept)
    path = folder / "tokenizer.json"
    if path.is_file():
        tokenizer = Tokenizer.from_file(str(path))
        if tokenizer.truncation is not None or tokenizer.padding is not None:
            tokenizer.no_truncation()
            tokenizer.no_padding()
            tokenizer.save(str(path))


def limit_to_positions(folder: Path, positions: int | None) -> None:
    """Let a tokenizer's files name no longer input than its model takes.

    What the tokenizer says itself stays, if it is less: plain transformers cuts there where it is
    asked to cut and not told how long. How long texts were in training is no part of it.

    Args:
        folder: of a tokenizer; nothing happens where there is none.
        positions: most tokens that the model takes; None where it has no limit, as T5.
    """
    settings = read_settings(folder)
    limit = settings.get("model_max_length")
    if settings and positions is not None and (not isinstance(limit, int) or limit > positions):
        write_settings(folder, {**settings, "model_max_length": positions})


def read_settings(folder: Path) -> dict[str, object]:
    """What a tokenizer's files say of it; {} where there are none, or they cannot be read."""
    try:
        settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def write_settings(folder: Path, settings: dict[str, object]) -> None:
    """Write what a tokenizer's files say of it, as transformers does."""
    text = json.dumps(settings, indent=2, ensure_ascii=False, sort_keys=True)
    (folder / _SETTINGS).write_text(f"{text}\n", encoding="utf-8")
