"""Errors that are one message: of the input, and of a run at work; exit codes."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

_LONGEST_NAME, _MOST_NAMES = 100, 10_000


class InputError(ValueError):
    """A mistake in a setting, a file or a row, in one message with the way out.

    The command line prints the message without a traceback and exits with code 2.
    """


class CorruptError(InputError):
    """A file that is not what was written: cut off, or with wrong bits."""


class WriteError(OSError):
    """A file of a run that cannot be written, such as on a full disk, in one message.

    The command line prints the message without a traceback and exits with code 1.
    """


class SharedFaultError(RuntimeError):
    """What ended a run that was at work, in one message with the way out.

    In a distributed run every process raises the same one. The command line prints the message
    without a traceback and exits with code 1.
    """


@contextmanager
def as_input_error(path: str | Path) -> Iterator[None]:
    """Turn whatever the content of a file makes its readers raise into one message with its name.

    Args:
        path: of a checkpoint or a model's folder, which anybody may have made.

    Raises:
        InputError: in place of any error but those of disk and memory.
    """
    try:
        yield
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:  # there is no list of what strange values may raise
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{path}: what it holds cannot be used ({type(error).__name__}: {reason})."
        ) from error


def code_of_process(code: int) -> int:
    """The exit code of this process, where all processes of a run end alike.

    Lightning's launcher kills the first process when it finds that another has ended with a code,
    so those that it has started give none. (torchrun, which sets RANK, wants to see it.)

    Args:
        code: the exit code of the command.
    """
    is_launched = os.environ.get("LOCAL_RANK", "0") != "0" and "RANK" not in os.environ
    return 0 if is_launched else code


def at_least(least: int, **settings: int | None) -> None:
    """Refuse settings below a number.

    Args:
        least: the number.
        settings: by name; None stands for none.

    Raises:
        InputError: naming the first.
    """
    for name, value in settings.items():
        if value is not None and value < least:
            raise InputError(f"Expected `{name}` to be at least {least}, but got {value}.")


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is closest to a misspelt one, as the end of a sentence.

    Whole texts, as of a column that is no column of labels, are no names: comparing them takes
    minutes.

    >>> nearest("txet", ["text", "target"])
    " Did you mean 'text'?"
    >>> nearest("zzz", ["text"])
    ''
    """
    if len(name) > _LONGEST_NAME:
        return ""
    short = (candidate for candidate in known if len(candidate) <= _LONGEST_NAME)
    names = {candidate.casefold(): candidate for candidate in islice(short, _MOST_NAMES)}
    close = get_close_matches(name.casefold(), list(names), n=1, cutoff=0.5)
    return f" Did you mean {names[close[0]]!r}?" if close else ""
