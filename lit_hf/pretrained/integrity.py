"""Whether a model's files can be read and hold all weights; if not, one error says why."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lit_hf.errors import CorruptError, InputError
from lit_hf.files.paths import is_local
from lit_hf.pretrained.hf_objects import is_in_memory

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_NOTE = "_lit_hf_loaded"


@contextmanager
def reading(model_name: str, part: str) -> Iterator[None]:
    """Turn whatever goes wrong while a part of a model is read into one error.

    Args:
        model_name: Hub id or folder of the model.
        part: what is read, such as "weights".

    Raises:
        InputError: naming the corrupt file if there is one, else the part and what to do.
    """
    if is_in_memory(model_name):
        raise InputError(
            f"{model_name}: it was loaded from no folder, so there is no {part} beside it. Give "
            "that as an object too: a tokenizer or image processor in place of the data module's "
            "`model_name`, or `module.tokenizer = …`."
        )
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a field of a wrong type raises wherever it is first used
        raise _not_loadable(model_name, part, error) from error


def _not_loadable(model_name: str, part: str, error: Exception) -> InputError:
    if is_local(model_name) and not Path(model_name).is_dir():
        return InputError(f"model {model_name!r}: there is no such folder.")
    try:
        check_files(model_name)
    except CorruptError as fault:
        return fault
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(
        f"model {model_name!r}: the {part} cannot be loaded ({reason}). Give a folder with "
        "config.json or a Hub id: look at its spelling and the connection (HF_HUB_OFFLINE=1 reads "
        "what was fetched before without asking); a gated model needs HF_TOKEN in the environment."
    )


def check_files(folder: str | Path) -> None:
    """Refuse a model's folder with a corrupt file, such as one cut short or a Git LFS pointer.

    Args:
        folder: of a model; nothing happens where there is none, as for a Hub id.

    Raises:
        CorruptError: naming the file.
    """
    from safetensors import safe_open

    for path in sorted(Path(folder).glob("*.*")):
        try:
            if path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
            elif path.suffix == ".safetensors":
                with safe_open(path, framework="pt"):  # compares table of contents and size
                    pass
        except Exception as error:  # safetensors has errors of its own
            raise CorruptError(
                f"{path}: corrupt ({error}). Copy the file again, or write the folder again with "
                "`lit-hf export CHECKPOINT FOLDER`."
            ) from error


class LoadedWeights(NamedTuple):
    """What came out of the files of a model.

    Args:
        names: weights of the model that the files hold in the right shape.
        unexpected: weights in the files that the model has not.
    """

    names: frozenset[str]
    unexpected: frozenset[str]


def note_loaded(model: "PreTrainedModel", info: Mapping[str, Any]) -> None:
    """Keep with a model which of its weights were loaded.

    Args:
        model: just loaded.
        info: what `from_pretrained` gives with `output_loading_info`.
    """
    random = {*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])}
    names = frozenset(_weights_of(model).keys() - random)
    setattr(model, _NOTE, LoadedWeights(names, frozenset(info["unexpected_keys"])))


def load_added_parts(model: "PreTrainedModel", folder: str) -> None:
    """Load from an export what a class of the user's own put into the model after it was loaded.

    `from_pretrained` knows no such layers, for example one put before the head.

    Args:
        model: as the module has made it; nothing happens if it was put together again.
        folder: Hub id or folder of an export of the same class.
    """
    import torch
    from safetensors import safe_open

    loaded: LoadedWeights | None = getattr(model, _NOTE, None)
    if loaded is None:
        return
    weights, names = _weights_of(model), set(loaded.names)
    for path in _weight_files(folder):
        with torch.no_grad(), safe_open(path, framework="pt") as file:
            for name in weights.keys() & set(file.keys()):
                if file.get_slice(name).get_shape() == list(weights[name].shape):
                    weights[name].copy_(file.get_tensor(name))
                    names.add(name)
    setattr(model, _NOTE, LoadedWeights(frozenset(names), loaded.unexpected - names))


def check_complete(model: "PreTrainedModel", folder: str) -> None:
    """Refuse a trained model of which some weights are random.

    More in the file than in the model is fine, such as a pooler, but not further layers: then the
    config is not the one that was trained.

    Args:
        model: as the module has loaded it.
        folder: where from.

    Raises:
        InputError: naming the weights.
    """
    loaded: LoadedWeights | None = getattr(model, _NOTE, None)
    if loaded is None:  # a module puts another model together where the head does not fit
        raise InputError(
            f"{folder}: its head is for another number of classes than its config.json names, so "
            "its answers would be random. Export the checkpoint again."
        )
    names = _weights_of(model).keys()
    layers = {re.sub(r"\d+", "0", name) for name in names}  # alike in all layers
    further = {name for name in loaded.unexpected if re.sub(r"\d+", "0", name) in layers}
    if others := sorted((names - loaded.names) | further):
        raise InputError(
            f"{folder}: the weights are not those of the model in config.json, so its answers "
            f"would be random ({len(others)} missing, further or of another shape: "
            f"{', '.join(others[:3])}). Copy the folder again, or write it again with `lit-hf "
            "export CHECKPOINT FOLDER`."
        )


def _weights_of(model: "PreTrainedModel") -> "dict[str, Tensor]":
    """Parameters and buffers by the names of the plain model, which may be compiled.

    Buffers of integers, such as positions, are no weights.
    """
    state: dict[str, Tensor] = model.state_dict(keep_vars=True)
    return {n.replace("_orig_mod.", ""): t for n, t in state.items() if t.is_floating_point()}


def _weight_files(folder: str) -> list[Path]:
    """The safetensors files of a folder or Hub id, which is in the cache by now."""
    from transformers.utils.hub import cached_file

    path = cached_file(folder, "config.json")
    return [] if path is None else sorted(Path(path).parent.glob("*.safetensors"))
