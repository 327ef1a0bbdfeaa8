"""Arguments of the benchmarks: whole help, and mistakes that are told before anything is timed."""

import argparse
from pathlib import Path

from benchmarks.record import RESULTS


def parser_of(module: str, told: str | None) -> argparse.ArgumentParser:
    """A parser that shows all that is told.

    Args:
        module: of the command.
        told: what it does, its docstring.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=told,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add the option `--results`."""
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="FOLDER",
        help="gets the JSON; by default benchmarks/results, in place of the committed figures",
    )


def existing_file(text: str) -> Path:
    """A path at which there is a file."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder; wanted is a file")
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def model_name(text: str) -> str:
    """A folder that exists, or else something that could be the id of a Hub model."""
    if text.startswith((".", "/", "~")) and not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return text


def count(text: str) -> int:
    """A number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted is a number from 1")
    return int(text)
