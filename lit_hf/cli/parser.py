"""How settings are read and written: which classes they may name, what is no setting, errors."""

import inspect
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import jsonargparse
import yaml
from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser
from torch.optim import AdamW

from lit_hf.cli.error_messages import condense
from lit_hf.cli.monitor_checks import complete_modes
from lit_hf.cli.short_names import begin_with_own_defaults, list_few_classes, look_in, short_names
from lit_hf.cli.text_settings import read_by_type
from lit_hf.cli.yaml_scalars import load, plain, read_settings, write_yaml
from lit_hf.data.base import HFDataModule
from lit_hf.errors import InputError
from lit_hf.functional.credentials import without_secrets
from lit_hf.functional.given_settings import accepted_by
from lit_hf.modules.base import HFModule

IMPORTABLE = ["lit_hf", "lightning.pytorch", "torch.nn", "torch.optim", "torchmetrics", "kornia"]
"""Modules whose classes a config may name; `--import` adds to them, on the command line only."""


def set_up_parsing(imports: Sequence[str]) -> None:
    """Let settings name the classes they may, keep texts as typed, and write no secrets.

    Args:
        imports: modules of the user whose classes a config may name too.
    """
    jsonargparse.set_parsing_settings(
        import_path_denylist=["*"], import_path_allowlist=[*IMPORTABLE, *imports]
    )
    jsonargparse.set_loader("yaml", load, (yaml.YAMLError,))
    read_by_type()
    begin_with_own_defaults()
    look_in(imports)
    list_few_classes()
    jsonargparse.set_dumper("yaml", _dump)
    public_classes()  # imports them
    _whole_numbers_first()


def _whole_numbers_first() -> None:
    """Let `limit_val_batches: 1` be one batch, whatever was imported before Lightning.

    `typing` keeps one object for a union in both orders, the first that anybody has made; where
    that is `float | int` (as in rich), 1 would be read as 1.0, which says all batches.
    """
    annotations = inspect.unwrap(Trainer.__init__).__annotations__
    for name in annotations:
        if name.startswith("limit_") and name.endswith("_batches"):
            annotations[name] = int | float | None


def _dump(settings: object) -> str:
    return write_yaml(without_secrets(plain(settings)))


def public_classes() -> list[type]:
    """The classes that `from lit_hf import` gives; a config may name one once it is imported."""
    package = sys.modules["lit_hf"]
    found = [getattr(package, name) for name in package.__all__]
    return [kind for kind in found if kind is not InputError]


def classes_of(groups: Iterable[str]) -> list[str]:
    """The classes of model and data that options name: a recipe may give settings of them alone.

    Args:
        groups: options that set a whole group: a class, settings or a file of settings.

    >>> classes_of(["--trainer={max_epochs: 1}", "--model=TextClassifier", "--data={seed: 1}"])
    ['--model=TextClassifier']
    """
    found = []
    for name, _, value in (word.partition("=") for word in groups):
        try:
            is_file = os.path.isfile(value)
            read = read_settings(Path(value).read_text(encoding="utf-8") if is_file else value)
        except (InputError, ValueError, OSError, yaml.YAMLError):
            continue  # the parser has the message
        kind = read.get("class_path") if isinstance(read, Mapping) else None if is_file else value
        if name in ("--model", "--data") and kind is not None:
            found.append(f"{name}={kind}")
    return found


class OneMessageParser(LightningArgumentParser):
    """A parser whose errors are one message, without the usage of hundreds of options.

    Where a monitor is given without a mode, it is that of the score.
    """

    # What was typed and what is a default is told apart nowhere else: the defaults of classes are
    # put in here, and `--print_config` prints what comes of it.
    def _parse_common(self, cfg: Namespace, *args: object, **options: object) -> Namespace:
        if options.get("defaults"):
            complete_modes(cfg)
        return super()._parse_common(cfg, *args, **options)  # type: ignore[arg-type]  # as it came

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message as an InputError."""
        classes = [*public_classes(), AdamW, ModelCheckpoint, Trainer]
        chosen = next(iter(self.groups or {}), "")  # the class whose settings this parser reads
        kin = [kind for kind in classes if _is_kin(kind, chosen)]
        names = [*short_names(), *(kind.__name__ for kind in classes)]
        owners: dict[str, list[str]] = {name: [] for name in names}
        for kind in kin or classes:
            for name in accepted_by(kind):
                owners.setdefault(name, []).append(kind.__name__)
        slip = re.search(r"Option '(\w+)' is not accepted", str(message))
        if len(self.groups or {}) == 1 and not kin and slip and slip[1] not in owners:
            owners = {action.dest: [] for action in self._actions}  # those of the class alone
        raise InputError(condense(str(message), owners, chosen if kin else "")) from ex


def _is_kin(kind: type, name: str) -> bool:
    """Whether a class is a model or a data module as the one of this name is."""
    bases = [base for base in (HFModule, HFDataModule) if issubclass(kind, base)]
    return any(name in _names_below(base) for base in bases)


def _names_below(base: type) -> list[str]:
    kinds: list[type] = base.__subclasses__()
    return [base.__name__, *(name for kind in kinds for name in _names_below(kind))]
