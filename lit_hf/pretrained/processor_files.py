"""The files of a tokenizer or image processor: their names, and nothing in them that runs code.

A checkpoint holds them as bytes. One that a stranger has made may hold any bytes under any name.
"""

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lit_hf.errors import InputError
from lit_hf.pretrained.special_tokens import note_former_reading

# What tokenizers and processors of transformers write (`vocab_files_names` of its classes). All in
# lower case: on some disks `Config.json` is `config.json`.
_NAMES = frozenset(
    (
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
        *("added_tokens.json", "chat_template.jinja", "chat_template.json"),
        *("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"),
        *("vocab.json", "vocab.txt", "merges.txt", "bpe.codes", "dict.txt", "prophetnet.tokenizer"),
        *("vocab-src.json", "vocab-tgt.json", "target_vocab.json", "entity_vocab.json"),
        *("byte_maps.json", "emoji.json", "normalizer.json", "tekken.json"),
        *("word_shape.json", "word_pronunciation.json"),
    )
)
_PATTERN = re.compile(
    r"[a-z0-9][a-z0-9_.-]*\.(model|spm)|additional_chat_templates/[a-z0-9][a-z0-9_-]*\.jinja"
)
# Keys by which transformers finds code, or leave to run it, beside a model.
_OF_CODE = frozenset(("auto_map", "custom_pipelines", "trust_remote_code"))
# Keys whose values have names of the user's own as keys.
_NAMED_BY_USERS = frozenset(("label2id", "id2label", "added_tokens_decoder"))


def files_of(folder: Path) -> dict[str, Tensor]:
    """The files of a processor's folder as bytes in tensors, by their names; empty ones left out.

    Files of other names, which a tokenizer of the user's own class may write, are left out with a
    warning: `write_files` takes none of them.
    """
    drop_code(folder)
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    if others := [name for name in files if not is_name(name)]:
        warnings.warn(
            f"checkpoints do not keep {', '.join(others)}: transformers' own tokenizers and image "
            "processors write no such files. Keep the folder of yours beside the run.",
            stacklevel=2,
        )
    return {
        name: torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
        for name, path in files.items()
        if name not in others
    }


def write_files(files: object, folder: Path) -> None:
    """Write a processor's files that a checkpoint holds, if all of them are what they should be.

    Args:
        files: bytes in tensors, by their names.
        folder: where to.

    Raises:
        InputError: naming what is no file of a tokenizer or image processor.
    """
    if not isinstance(files, Mapping):
        raise InputError("the checkpoint's `processor` holds no files of a tokenizer.")
    for name, content in files.items():
        _check_name(name)
        if not _is_bytes(content):
            raise InputError(f"the checkpoint's {name!r} is no file of a tokenizer.")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.numpy().tobytes())
    drop_code(folder)


def is_name(name: str) -> bool:
    """Whether a tokenizer or image processor of transformers writes a file of this name."""
    return name in _NAMES or _PATTERN.fullmatch(name) is not None


def _check_name(name: object) -> None:
    if isinstance(name, str) and is_name(name):
        return
    raise InputError(
        f"{str(name)[:200]!r} is the name of no file that a tokenizer or image processor of "
        "transformers writes; a checkpoint keeps no others."
    )


def _is_bytes(content: object) -> bool:
    """Whether this is a row of bytes; one that repeats a few may be longer than any memory."""
    return (
        isinstance(content, Tensor)
        and content.dtype == torch.uint8
        and content.layout == torch.strided
        and content.device.type == "cpu"
        and content.nbytes <= content.untyped_storage().nbytes()
    )


def drop_code(folder: Path) -> None:
    """Take from the settings in a folder (`*config.json`) whatever names code, or files elsewhere.

    Args:
        folder: of a model or its processor; what is no JSON is left to its reader.
    """
    for path in sorted(folder.glob("*config.json")):
        try:
            settings = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            continue
        kept = without_code(settings)
        if path.name == "tokenizer_config.json" and isinstance(kept, dict):
            # transformers takes such a path before the file that lies beside.
            kept = {name: value for name, value in kept.items() if not name.endswith("_file")}
        if kept != settings:
            text = json.dumps(kept, indent=2, ensure_ascii=False, sort_keys=True)
            path.write_text(f"{text}\n", encoding="utf-8")


def without_code(settings: object) -> object:
    """Settings without the keys that name code; parts of a whole have settings of their own.

    >>> without_code({"auto_map": {"AutoModel": "m.M"}, "text_config": {"auto_map": {}, "size": 2}})
    {'text_config': {'size': 2}}
    """
    if isinstance(settings, dict):
        return {
            name: value if name in _NAMED_BY_USERS else without_code(value)
            for name, value in settings.items()
            if name not in _OF_CODE
        }
    return settings


def write_processor(checkpoint: dict[str, dict[str, object]], folder: Path) -> bool:
    """Write the tokenizer's files that a checkpoint holds; whether it held any."""
    for state in checkpoint.values():
        if isinstance(state, dict) and "processor" in state:
            write_files(state["processor"], folder)
            note_former_reading(folder)
            return True
    return False


def write_model_files(checkpoint: dict[str, dict[str, object]], folder: Path) -> bool:
    """Write the tokenizer and the config that a checkpoint holds; whether it held both."""
    config = checkpoint.get("hyper_parameters", {}).get("config_overrides")
    if not isinstance(config, dict) or not write_processor(checkpoint, folder):
        return False
    (folder / "config.json").write_text(json.dumps(without_code(config)), encoding="utf-8")
    return True


def known_inputs(about: Mapping[str, object]) -> dict[str, object] | None:
    """How the data was read in a training, and the class that read it; None where nothing says so.

    Args:
        about: what the data module wrote about itself.
    """
    inputs = about.get("inputs")
    return {**inputs, "data": about.get("class")} if isinstance(inputs, Mapping) else None


def data_description(checkpoint: dict[str, dict[str, object]]) -> dict[str, object]:
    """What the data module wrote about itself; {} where it wrote nothing.

    Raises:
        InputError: if it says by a tensor how the rows are read.
    """
    for state in checkpoint.values():
        if isinstance(state, dict) and "processor" in state:
            held = state.get("data")
            inputs = held.get("inputs") if isinstance(held, dict) else None
            for name, value in inputs.items() if isinstance(inputs, dict) else ():
                if isinstance(value, Tensor):
                    raise InputError(f"the checkpoint's `{name}` is a tensor, no plain value.")
            return held if isinstance(held, dict) else {}
    return {}
