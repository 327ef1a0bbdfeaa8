"""The files of a Hugging Face folder: reading them is done, or one error tells why it is not."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from lit_hf.errors import DamagedError, InputError
from lit_hf.files.paths import is_local
from lit_hf.pretrained.hf_objects import is_in_memory

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_JSON = (
    *("config.json", "generation_config.json", "model.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "preprocessor_config.json", "processor_config.json"),
)
_COUNTS = ("num_labels", "num_hidden_layers", "num_layers", "n_layer", "num_decoder_layers")
_MOST = 1_000_000
_LISTS = ("vocab.json",)
"""Files that hold an object in most models, a list in some."""


@contextmanager
def reading(model_name: str, part: str) -> Iterator[None]:
    """Tell whatever the files of a model make their readers raise in one error.

    There is no list of what that may be: a field of a wrong type raises where it is first used.

    Args:
        model_name: Hub id or folder of the model.
        part: what is read, such as "weights".

    Raises:
        InputError: naming the file, where one is damaged or leads out of the folder, else the part.
    """
    if is_in_memory(model_name):
        raise InputError(
            f"{model_name}: it was loaded from no folder, so there is no {part} beside it. Give "
            "that as an object too: a tokenizer or image processor in place of the data module's "
            "`model_name`, or `module.tokenizer = …`."
        )
    check_names(Path(model_name))
    try:
        yield
    except (InputError, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # what panics in Rust is no Exception
        raise not_loadable(model_name, part, error) from error


def not_loadable(model_name: str, part: str, error: BaseException) -> InputError:
    """Say in one line why a model cannot be loaded and what to do."""
    if is_local(model_name) and not Path(model_name).is_dir():
        return InputError(f"model {model_name!r}: there is no such folder.")
    try:
        check_files(model_name)
    except DamagedError as damage:
        return damage
    told = next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
    if not isinstance(error, OSError | ValueError | ImportError):  # their texts stand alone
        told = f"{type(error).__name__}: {told}"
    told = shorten(told, 200, placeholder=" …")
    return InputError(
        f"model {model_name!r}: the {part} cannot be loaded ({told}). Give a folder with "
        "config.json or a Hub id: look at its spelling and the connection (HF_HUB_OFFLINE=1 reads "
        "what was fetched before without asking); a gated model needs HF_TOKEN in the environment."
    )


def check_names(folder: Path) -> None:
    """Refuse a folder that makes transformers read what does not lie in it.

    Args:
        folder: of a model; nothing happens where there is none, as for a Hub id.

    Raises:
        InputError: if it holds an adapter, or its weights are said to lie elsewhere.
    """
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"model {str(folder)!r}: it holds an adapter (adapter_config.json), and the model that "
            "this stands on lies elsewhere. Give a folder with the whole model: load both with "
            "peft, `merge_and_unload()`, and save that."
        )
    _check_counts(folder / "config.json")
    for path in sorted(folder.glob("*.index.json")):
        try:
            content = path.read_bytes() if path.is_file() else b""  # a pipe would be waited for
            names = {*json.loads(content)["weight_map"].values()}
            is_right = all(name == Path(name).name for name in names)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            is_right = False
        if not is_right:
            raise InputError(
                f"{path}: damaged, or not of this folder: wanted is a `weight_map` of the names of "
                "files that lie beside it."
            )


def _check_counts(path: Path) -> None:
    """Refuse a config of which transformers makes lists without end while it reads it.

    Raises:
        InputError: naming the count.
    """
    try:
        found = json.loads(path.read_bytes()) if path.is_file() else {}
        counts = {name: found.get(name) for name in _COUNTS}
    except (OSError, ValueError, AttributeError, RecursionError):
        return  # which its reader tells
    for name, count in counts.items():
        if isinstance(count, int | float) and count > _MOST:
            raise InputError(f"{path}: `{name}` is {count}; a model has {_MOST} at most.")


def check_config(config: "PreTrainedConfig", whose: str) -> None:
    """Refuse a config by which other things are read, or run, than the model of a folder.

    Args:
        config: as it was read.
        whose: what messages call it.

    Raises:
        InputError: if the weights are quantised, lie elsewhere, or code of the Hub is named.
        TypeError: if the names of its classes are no texts, or a part of it is no config.
    """
    if not all(isinstance(kind, str) for kind in getattr(config, "architectures", None) or ()):
        raise TypeError("`architectures` is no list of texts")
    if not hasattr(config.get_text_config(), "model_type"):
        raise TypeError("`text_config` is no config")
    if (quantised := getattr(config, "quantization_config", None)) is not None:
        method = quantised.get("quant_method") if isinstance(quantised, dict) else None
        raise InputError(
            f"{whose}: the config says that the weights are quantised (`quantization_config`, "
            f"{str(method)[:50]}), and those cannot be trained. Give the model that they were "
            "made of."
        )
    weights = getattr(config, "transformers_weights", None)
    if weights is not None and (not isinstance(weights, str) or Path(weights).name != weights):
        raise InputError(
            f"{whose}: `transformers_weights` of the config wants the name of a file in the folder."
        )
    parts = [config, *(part for part in vars(config).values() if hasattr(part, "model_type"))]
    for part in parts:
        if "/" in str(getattr(part, "_attn_implementation", None)):
            raise InputError(
                f"{whose}: the config's `attn_implementation` names code of the Hub, which is not "
                "run. Take it out of config.json."
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
            _tell(path, _damage_of_json(path.read_bytes(), may_be_list=name in _LISTS))
    for path in sorted(Path(folder).glob("*.safetensors")):
        if not path.is_file():
            raise DamagedError(f"{path}: this is no file.")
        _tell(path, _damage_of_weights(path))


def _tell(path: Path, damage: str | None) -> None:
    if damage is not None:
        raise DamagedError(
            f"{path}: damaged, {damage}. Copy the file again, or write the folder anew with "
            "`lit-hf export CHECKPOINT FOLDER`."
        )


def _damage_of_json(content: bytes, *, may_be_list: bool) -> str | None:
    if not content.strip():
        return "the file is empty"
    try:
        held = json.loads(content.decode())  # transformers reads UTF-8 alone
    except (ValueError, RecursionError) as error:
        return f"it is no JSON ({error})"
    kinds = (dict, list) if may_be_list else (dict,)
    return None if isinstance(held, kinds) else f"it holds no JSON object but {str(held)[:40]!r}"


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
