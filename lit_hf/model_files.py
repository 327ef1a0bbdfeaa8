"""The files of a Hugging Face folder: whether one of them is damaged, told by its own form."""

import json
from pathlib import Path

from lit_hf.errors import DamagedError

_JSON = (
    *("config.json", "generation_config.json", "model.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "preprocessor_config.json", "processor_config.json"),
)


def check_files(folder: str | Path) -> None:
    """Refuse a folder with a file that is cut off or no longer what its name says.

    Weights are compared with their own table of contents; wrong bits among them cannot be seen.

    Args:
        folder: of a model; nothing happens where there is none, as for a Hub id.

    Raises:
        DamagedError: naming the file.
    """
    for name in _JSON:
        path = Path(folder) / name
        if path.is_file():
            _tell(path, _damage_of_json(path.read_bytes()))
    for path in sorted(Path(folder).glob("*.safetensors")):
        _tell(path, _damage_of_weights(path))


def _tell(path: Path, damage: str | None) -> None:
    if damage is not None:
        raise DamagedError(
            f"{path}: damaged, {damage}. Copy the file again, or write the folder anew with "
            "`lit-hf export CHECKPOINT FOLDER`."
        )


def _damage_of_json(content: bytes) -> str | None:
    if not content.strip():
        return "the file is empty"
    try:
        json.loads(content)
    except (ValueError, RecursionError) as error:
        return f"it is no JSON ({error})"
    return None


def _damage_of_weights(path: Path) -> str | None:
    """What is wrong with the table of contents of a file of safetensors.

    https://github.com/huggingface/safetensors#format: its length in 8 bytes, the table as JSON with
    the places of the tensors behind it, the tensors.
    """
    num_bytes = path.stat().st_size
    if not num_bytes:
        return "the file is empty"
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > num_bytes - 8:
            return f"it ends after {num_bytes} bytes, within its table of contents"
        table = stream.read(length)
    try:
        places = [held["data_offsets"] for n, held in json.loads(table).items() if n[:2] != "__"]
        end = 8 + length + max((int(stop) for _, stop in places), default=0)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "its table of contents cannot be read"
    return None if end == num_bytes else f"it has {num_bytes} bytes, wanted are {end}"
