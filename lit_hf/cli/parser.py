"""How settings are read and written: which classes they may name, and errors in one message."""

import inspect
import sys
from collections.abc import Sequence
from typing import NoReturn

import jsonargparse
import yaml
from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from lit_hf.cli import jsonargparse_hooks
from lit_hf.cli.config_checks import check_typed
from lit_hf.cli.error_messages import condense
from lit_hf.cli.yaml_texts import dump, load
from lit_hf.errors import InputError

IMPORTABLE = ["lit_hf", "lightning.pytorch", "torch.nn", "torch.optim", "torchmetrics", "kornia"]
"""Modules whose classes a config may name; `--import` adds to them, on the command line only."""


def set_up_parsing(imports: Sequence[str]) -> None:
    """Let settings name the classes they may, and keep texts as typed.

    Args:
        imports: modules of the user whose classes a config may name too.
    """
    jsonargparse.set_parsing_settings(
        import_path_denylist=["*"], import_path_allowlist=[*IMPORTABLE, *imports]
    )
    jsonargparse.set_loader("yaml", load, (yaml.YAMLError,))
    jsonargparse.set_dumper("yaml", dump)
    jsonargparse_hooks.install(imports)
    import_public_classes()
    _whole_numbers_first()


def import_public_classes() -> list[str]:
    """Import what `from lit_hf import` gives, so that a config may name it; the names."""
    package = sys.modules["lit_hf"]
    return [name for name in package.__all__ if getattr(package, name) is not InputError]


def _whole_numbers_first() -> None:
    """Let `limit_val_batches: 1` be one batch, whatever was imported before Lightning.

    `typing` keeps one object for a union in both orders, the first that anybody has made; where
    that is `float | int` (as in rich), 1 would be read as 1.0, which says all batches.
    """
    annotations = inspect.unwrap(Trainer.__init__).__annotations__
    for name in annotations:
        if name.startswith("limit_") and name.endswith("_batches"):
            annotations[name] = int | float | None


class OneMessageParser(LightningArgumentParser):
    """A parser whose errors are one message, without the usage of hundreds of options.

    Where a monitor is given without a mode, it is that of the score.
    """

    # Settings as they were typed are seen nowhere else: here the defaults of classes are put in.
    def _parse_common(self, cfg: Namespace, *args: object, **options: object) -> Namespace:
        if options.get("defaults"):
            check_typed(cfg)
        return super()._parse_common(cfg, *args, **options)  # type: ignore[arg-type]  # as it came

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message as an InputError."""
        actions = [action for parser in (self, *_subparsers(self)) for action in parser._actions]
        classes = [*import_public_classes(), *jsonargparse_hooks.short_names()]
        options = [action.dest for action in actions]
        raise InputError(condense(str(message), options, classes)) from ex


def _subparsers(parser: LightningArgumentParser) -> list[LightningArgumentParser]:
    """The parsers of the verbs, which read a recipe for the one that has them."""
    maps = [getattr(action, "_name_parser_map", {}) for action in parser._actions]
    return [inner for found in maps for inner in found.values()]
