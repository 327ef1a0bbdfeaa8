"""The errors told in one message: the input is at fault, or the disk, not the program."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """A mistake in a setting, a file or a row, told in one message with the way out.

    The command line prints the message without a traceback and exits with code 2.
    """


class WriteError(OSError):
    """A file of a run that cannot be written, such as on a full disk, told in one message.

    The command line prints the message without a traceback and exits with code 1.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is closest to a misspelt one, as the end of a sentence.

    >>> nearest("txet", ["text", "target"])
    " Did you mean 'text'?"
    >>> nearest("zzz", ["text"])
    ''
    """
    names = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(name.casefold(), list(names), n=1, cutoff=0.5)
    return f" Did you mean {names[close[0]]!r}?" if close else ""
