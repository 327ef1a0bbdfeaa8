"""Classes that settings name: by which names, how they are listed, where they begin anew.

An optimizer or a head of another class begins with the defaults of that class.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from jsonargparse import Namespace, _typehints
from jsonargparse._util import import_object
from lightning.pytorch import LightningModule
from torch import nn
from torch.optim import Optimizer

_LIBRARIES = ("torch.nn", *(f"torchmetrics.{n}" for n in ("classification", "regression", "text")))
_homes = [*_LIBRARIES]  # modules whose losses and metrics have short names; of this process
_FEW = 30  # classes that a help lists at most; of `torch.nn.Module` there are hundreds


def look_in(imports: Sequence[str]) -> None:
    """Let `full_name` look in modules of the user before those of the libraries."""
    _homes[:] = [*imports, *_LIBRARIES]


def full_name(name: str) -> str:
    """The name of a loss or metric with its module; the name itself where none has it.

    Args:
        name: as it was typed.

    >>> full_name("CrossEntropyLoss"), full_name("MulticlassCohenKappa")
    ('torch.nn.CrossEntropyLoss', 'torchmetrics.classification.MulticlassCohenKappa')
    >>> full_name("my_losses.Focal"), full_name("Focal")
    ('my_losses.Focal', 'Focal')
    """
    for home in _homes if name.isidentifier() else ():
        if callable(getattr(import_module(home), name, None)):
            return f"{home}.{name}"
    return name


def short_names() -> list[str]:
    """The names of losses, metrics and optimizers that need no module before them."""
    homes = [import_module(home) for home in (*_homes, "torch.optim")]
    return [name for home in homes for name in dir(home) if name[:1].isupper()]


def class_of(path: str) -> Any:  # noqa: ANN401 - has no types
    """The class that a setting names, once the settings are read."""
    return import_object(path)


def list_few_classes() -> None:
    """Let a help list the classes that a setting may name only where they are few.

    jsonargparse has no public place for that.
    """
    hint: Any = _typehints.ActionTypeHint  # has no types
    listed = hint.extra_help
    if hasattr(listed, "is_ours"):
        return  # a second command in this process

    def list_few(action: Any) -> str:  # noqa: ANN401 - has no types
        text = str(listed(action))
        return text if text.count(",") <= _FEW else ""

    list_few.is_ours = True  # type: ignore[attr-defined]  # a mark
    hint.extra_help = list_few


def is_made_later(kind: object) -> bool:
    """Whether a class is an optimizer's or a head's, which a setting makes when it is needed.

    >>> is_made_later(nn.Linear), is_made_later(LightningModule)
    (True, False)
    """
    is_part = isinstance(kind, type) and issubclass(kind, Optimizer | nn.Module)
    return is_part and not issubclass(kind, LightningModule)  # type: ignore[arg-type]  # is a type


def begin_with_own_defaults() -> None:
    """Let nothing that one optimizer or head was given pass to one of another class.

    jsonargparse keeps what both classes take, so SGD would have the weight decay of the default
    AdamW. It has no public place for that.
    """
    discard: Any = _typehints.discard_init_args_on_class_path_change
    if hasattr(discard, "is_ours"):
        return  # a second command in this process

    def discard_all(
        parser_or_action: Any,  # noqa: ANN401 - has no types
        before: Namespace | Mapping[str, Any] | None,
        value: Namespace | Mapping[str, Any],
    ) -> None:
        is_other = before and "init_args" in before and before["class_path"] != value["class_path"]
        if before and is_other and is_made_later(import_object(str(value["class_path"]))):
            for name in list(before["init_args"].keys()):
                before["init_args"].pop(name)
            return
        discard(parser_or_action, before, value)

    discard_all.is_ours = True  # type: ignore[attr-defined]  # a mark
    _typehints.discard_init_args_on_class_path_change = discard_all
