"""The files of a tokenizer or image processor in a checkpoint: bytes in tensors, by file name."""

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from lit_hf.errors import InputError

# What tokenizers and processors of transformers write (`vocab_files_names` of its classes).
_NAME = re.compile(
    r"[a-z_-]*(token|vocab|processor|chat_template|byte_maps|emoji|normalizer|tekken|word_)"
    r"[a-z_-]*\.(json|jinja)|(vocab|merges|dict)\.txt|bpe\.codes|prophetnet\.tokenizer"
    r"|[a-z0-9][a-z0-9_.-]*\.(model|spm)|additional_chat_templates/[a-z0-9][a-z0-9_-]*\.jinja"
)
# Keys by which transformers finds code, or leave to run it, beside a model.
_OF_CODE = frozenset(("auto_map", "custom_pipelines", "trust_remote_code"))


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


def write_files(files: Mapping[str, object], folder: Path) -> None:
    """Write a processor's files that a checkpoint holds; a stranger's may name any path.

    Args:
        files: bytes in tensors, by their names.
        folder: where to.

    Raises:
        InputError: naming what is no file of a tokenizer or image processor.
    """
    for name, content in files.items():
        if not (is_name(name) and isinstance(content, Tensor) and content.dtype == torch.uint8):
            raise InputError(f"the checkpoint's {name!r} is no file of a tokenizer.")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.numpy().tobytes())
    drop_code(folder)


def is_name(name: str) -> bool:
    """Whether a tokenizer or image processor of transformers writes a file of this name."""
    return _NAME.fullmatch(name) is not None


def drop_code(folder: Path) -> None:
    """Remove from the settings in a folder (`*config.json`) what names code or files elsewhere."""
    for path in sorted(folder.glob("*config.json")):
        settings = json.loads(path.read_bytes())
        kept = without_code(settings)
        if path.name == "tokenizer_config.json":  # it prefers such a path to the file beside it
            kept = {name: value for name, value in kept.items() if not name.endswith("_file")}
        if kept != settings:
            text = json.dumps(kept, indent=2, ensure_ascii=False, sort_keys=True)
            path.write_text(f"{text}\n", encoding="utf-8")


def without_code(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings without the keys that name code, also in parts such as `text_config`.

    >>> without_code({"auto_map": {"AutoModel": "m.M"}, "text_config": {"auto_map": {}, "size": 2}})
    {'text_config': {'size': 2}}
    """
    return {
        name: without_code(value) if isinstance(value, dict) else value
        for name, value in settings.items()
        if name not in _OF_CODE
    }


def write_processor(checkpoint: Mapping[str, Any], folder: Path) -> bool:
    """Write the tokenizer's files that a checkpoint holds; whether it held any."""
    state = _state_of_data(checkpoint)
    write_files(state.get("processor", {}), folder)
    return bool(state)


def write_model_files(checkpoint: Mapping[str, Any], folder: Path) -> bool:
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


def data_description(checkpoint: Mapping[str, Any]) -> dict[str, object]:
    """What the data module wrote about itself; {} where it wrote nothing."""
    return cast("dict[str, object]", _state_of_data(checkpoint).get("data") or {})


def _state_of_data(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of the data module, which Lightning keeps under the name of its class."""
    states = (state for state in checkpoint.values() if isinstance(state, dict))
    return next((state for state in states if "processor" in state), {})
