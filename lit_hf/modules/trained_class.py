"""The class that takes the folder of a model, which others may have trained."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lit_hf.errors import InputError
from lit_hf.functional.class_lookup import class_named, declaring, name_of
from lit_hf.functional.given_settings import accepted_by
from lit_hf.modules.base import HFModule
from lit_hf.modules.folder_weights import exported_settings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

TAKEN_OUT = "taken_out"
"""Key of the names of arguments that the class takes out of its `**settings`."""
_PACKAGE = "lit_hf.modules"


def class_taking(config: "PreTrainedConfig", path: object) -> type[HFModule]:
    """The class for a model that does not say who has trained it.

    Each imported class that defines `takes` itself is asked: those of the user first, of them the
    furthest below `HFModule` first, then those of the package. A class that only inherits `takes`
    leaves the model to the one that it inherits from.

    Args:
        config: of the model.
        path: of its folder, for the message.

    Raises:
        InputError: if none takes it, whose answers would be random.
    """
    kinds = declaring(HFModule, "takes")
    for kind in reversed(kinds):
        if kind.takes(config):
            return kind
    tasks = ", ".join(dict.fromkeys(kind.task for kind in kinds if hasattr(kind, "task")))
    raise InputError(
        f"model {str(path)!r} ({', '.join(config.architectures or [])}) has no trained head of a "
        f"known task ({tasks}), so its answers would be random."
    )


def check_asked(
    kind: type[HFModule], config: "PreTrainedConfig", path: object, remedy: str
) -> None:
    """Refuse to ask a class for answers of a model that it has not trained, nor could have.

    Args:
        kind: the class.
        config: of the model.
        path: of its folder, for the message.
        remedy: what else to ask, for the message.

    Raises:
        InputError: if the model has no trained head, is of another task or of another class.
    """
    if exported_settings(config) is None and kind.takes(config):
        return
    try:
        found = class_of_folder(config, path)
    except InputError as error:
        raise InputError(f"{error} {remedy}") from error
    if not issubclass(kind, found):
        name = found.__name__ if found.__module__.startswith(_PACKAGE) else name_of(found)
        raise InputError(
            f"model {str(path)!r} is one of {found.__name__} ({found.task}), and `model` is "
            f"{kind.__name__} ({kind.task}). Give `--model {name}` and the data of its task, or "
            "another model."
        )


def class_of_folder(config: "PreTrainedConfig", path: object) -> type[HFModule]:
    """The class that has trained a folder's model; of a model of others the one that takes it.

    Raises:
        InputError: if that class is not imported, or none takes it.
    """
    if (known := exported_settings(config)) is not None:
        return class_named(HFModule, known["class"], path)
    return class_taking(config, path)


def settings_of(kind: type[HFModule], known: Mapping[str, Any]) -> dict[str, Any]:
    """Those of an export's settings that the constructor of its class takes."""
    accepted = [*accepted_by(kind), *known.get(TAKEN_OUT, ())]
    return {name: value for name, value in known.items() if name in accepted}
