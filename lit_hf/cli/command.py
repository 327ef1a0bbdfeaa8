"""The `lit-hf` command: help, errors and exit codes; the work is imported when it is needed."""

import argparse
import errno
import logging
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Literal, TextIO, cast

from lit_hf import __version__
from lit_hf.cli.error_messages import advice_on
from lit_hf.distributed.signals import exiting_at_signals
from lit_hf.errors import InputError, SharedFaultError, WriteError, code_of_process, nearest
from lit_hf.files.bundled import list_recipes, read_recipe
from lit_hf.files.urls import check_local
from lit_hf.functional.credentials import without_credentials
from lit_hf.functional.text import escaped, printable
from lit_hf.log_handler import own_lines

HELP = """\
usage: lit-hf VERB [options]

Fine-tune Hugging Face models with PyTorch Lightning.

verbs:
  fit        train from a recipe; the same command again resumes from its last checkpoint
  validate   score a checkpoint or a trained model on the validation rows
  test       score one on the test rows
  predict    answer rows without labels
  export     turn any checkpoint into a Hugging Face folder
  recipes    list the recipes that come with the package; `recipes NAME` shows one

options of fit, validate, test and predict:
  --config RECIPE   its name or a file; further --config RECIPE and options override it
  --run DIR         the folder of a run in place of a recipe; evaluates its best checkpoint
  --import MODULE   import a module of yours, by its name or file, from the working folder too,
                    so that its classes can stand in a class_path
  --allow-changed   fit: resume though rows, batch size, seed, precision or devices have changed
  --print_config    show the whole configuration and stop

  lit-hf VERB --help shows the rest; lit-hf --version the version.
  lit-hf fit --model.help TextClassifier shows the settings of a class, --data.help as well.

examples:
  lit-hf fit --config text_classification/disaster_tweets \\
    --data.train_file train.csv --model.model_name FOLDER_OR_HUB_ID \\
    --trainer.default_root_dir runs/tweets
  lit-hf validate --run runs/tweets
  lit-hf predict --run runs/tweets --data.predict_file test.csv
  lit-hf export runs/tweets/checkpoints/last.ckpt somewhere/

exit codes: 0 done, 1 fault, 2 bad configuration or data, 130 Ctrl-C, 143 SIGTERM,
SIGHUP or SIGUSR1; after both the same command resumes
"""
TRAINER_VERBS = ("fit", "validate", "test", "predict")
VERBS = (*TRAINER_VERBS, "export", "recipes")
_HELP_OF_CLASSES = {"--model.help": "TextClassifier", "--data.help": "TweetDataModule"}
_REMARKS = (  # of libraries, which ask for nothing
    # Rows are prepared before training: loading them needs no workers.
    ".*does not have many workers.*",
    # Between lightning 2.6 and torch 2.13; a matter of theirs.
    ".*isinstance.treespec, LeafSpec.*",
    # The summary of the model estimates megabytes without regard to bf16.
    ".*is not supported by the model summary.*",
    # A training that ends before its first validation: the export says so, in plain words.
    ".*monitor='val/.*could not find the monitored key.*",
    # What an earlier training left there is set aside.
    "Checkpoint directory .* is not empty",
    # Averages of weights are no matter of sharding here, nor of an evaluation.
    "You're using the WeightAveraging callback.*",
)


def run() -> None:
    """Entry point: run the command line of this process and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows no emoji
    sys.stdout = cast("TextIO", _Unbroken(sys.stdout))
    sys.excepthook = _show_fault
    with exiting_at_signals():
        code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.exit(code)


class _Unbroken:
    """A stream that writes to nowhere once its reader has gone, as `| head` does.

    A training continues then, as one whose terminal is closed under `nohup`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, if anybody reads."""
        return self._try(lambda: self._stream.write(text))

    def flush(self) -> None:
        """Flush, if anybody reads."""
        self._try(self._stream.flush)

    def _try(self, act: Callable[[], int | None]) -> int:
        try:
            return act() or 0
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EINVAL):  # the second on Windows
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            return 0


def _show_fault(
    kind: type[BaseException], fault: BaseException, trace: TracebackType | None
) -> None:
    """Write the traceback of a fault that no message tells of, without keys in addresses."""
    lines = traceback.format_exception(kind, fault, trace)
    print(without_credentials("".join(lines)), end="", file=sys.stderr)


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Args:
        args: the arguments after the command's name; those of this process unless given.
    """
    words = list(sys.argv[1:] if args is None else args)
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if words[0] == "--version":
        print(f"lit_hf {__version__}")
        return 0
    try:
        with own_lines():
            return _dispatch(words[0], words[1:])
    except InputError as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            time.sleep(1)  # the first process says it for all, and ends the others
        return _failed(str(error), 2)
    except (SharedFaultError, WriteError) as error:
        return _failed(str(error), code_of_process(1))
    except (RuntimeError, MemoryError, OSError, EOFError) as error:
        if (advice := advice_on(error)) is None:
            raise
        return _failed(advice, 1)
    except KeyboardInterrupt:
        print("lit-hf: interrupted", file=sys.stderr)
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1


def _failed(message: str, code: int) -> int:
    """Print an error in one message; the exit code."""
    lines = without_credentials(f"lit-hf: error: {message}").splitlines()
    print("\n".join(printable(line, 4000) for line in lines), file=sys.stderr)
    return code


def _dispatch(verb: str, words: list[str]) -> int:
    if verb == "export":
        return _export(words)
    if verb == "recipes":
        return _recipes(words)
    if verb not in TRAINER_VERBS:
        raise InputError(f"unknown verb {verb!r}, known: {', '.join(VERBS)}.{nearest(verb, VERBS)}")
    flags = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    flags.add_argument("--run", dest="run_folder")
    flags.add_argument("--import", dest="imports", action="append", default=[])
    flags.add_argument("--allow-changed", action="store_true")
    try:
        ours, rest = flags.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise InputError(str(error)) from None
    if ours.allow_changed and verb != "fit":
        raise InputError(f"--allow-changed: {verb} changes nothing; it is an option of fit.")
    check_local("--run", ours.run_folder)
    for word, following in pairwise([*rest, "-"]):
        if word in _HELP_OF_CLASSES and following.startswith("-"):
            raise InputError(f"{word}: name a class, such as {_HELP_OF_CLASSES[word]}.")
    _hide_remarks()
    imports = [import_named(module) for module in ours.imports]
    from lit_hf.cli.main import run_verb

    on_change: Literal["error", "warn"] = "warn" if ours.allow_changed else "error"
    run_verb(verb, rest, ours.run_folder, imports, on_change)
    return 0


def import_named(module: str) -> str:
    """Import a module of the user, also from the working folder or by its file.

    A fault in the module itself is shown with its traceback.

    Args:
        module: as the user has named it.

    Returns:
        The name that it is imported by.

    Raises:
        InputError: if there is none, or another module has its name.
    """
    path = Path(module).absolute()
    name, file = path.name.removesuffix(".py"), path.with_suffix("").with_suffix(".py")
    sys.path.append(str(path.parent))  # for processes that are started too
    try:
        found = import_module(name).__file__
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        near = nearest(name, [one.stem for one in Path().glob("*.py")])
        raise InputError(f"--import {module}: there is no such module or file.{near}") from None
    except (ValueError, TypeError):  # no name of a module
        raise InputError(f"--import {module}: give the name of a module, or its file.") from None
    if file.is_file() and not (found and file.samefile(found)):
        raise InputError(f"--import {module}: {file} has the name of {found}: rename it.")
    return name


def _export(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="lit-hf export", description="Turn any checkpoint into a Hugging Face folder."
    )
    parser.add_argument("checkpoint", help="a .ckpt file of a run")
    parser.add_argument("folder", help="where to write; an earlier export there is replaced")
    parser.add_argument("--import", dest="imports", action="append", default=[])
    given = parser.parse_args(words)
    _hide_remarks()
    for module in given.imports:
        import_named(module)
    from lit_hf.callbacks.model_folder import export_checkpoint

    folder = export_checkpoint(given.checkpoint, given.folder)
    print(escaped(f"exported {given.checkpoint} to {folder}"))
    return 0


def _recipes(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="lit-hf recipes",
        description="List the recipes that come with the package: names for --config.",
    )
    parser.add_argument("name", nargs="?", help="show this one: `lit-hf recipes NAME > mine.yaml`")
    name = parser.parse_args(words).name
    print(list_recipes() if name is None else read_recipe(name), end="" if name else "\n")
    return 0


def _hide_remarks() -> None:
    for remark in _REMARKS:
        warnings.filterwarnings("ignore", remark)
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    log.addFilter(lambda record: "litlogger" not in record.getMessage())
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # every fine-tuning has a new head
