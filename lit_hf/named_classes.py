"""An optimizer or a head of another class begins with the defaults of that class."""

from collections.abc import Mapping
from typing import Any

from jsonargparse import Namespace, _typehints
from jsonargparse._util import import_object
from lightning.pytorch import LightningModule
from torch import nn
from torch.optim import Optimizer


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
