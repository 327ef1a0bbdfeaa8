"""Log lines of the package: of the command, and in a program that has set up no logging."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from lit_hf.functional.credentials import without_credentials
from lit_hf.functional.text import escaped


class SafeLines(logging.Formatter):
    """Lines as they are, without the keys in addresses and what a terminal could obey."""

    def format(self, record: logging.LogRecord) -> str:
        """Hide what is secret, and escape what names and paths of a stranger's files hold."""
        return escaped(without_credentials(super().format(record)))


class FallbackHandler(logging.StreamHandler[TextIO]):
    """Writes log lines to stderr where no other handler shows them.

    By itself Python shows warnings and drops the rest, such as how many texts are cut. A handler of
    the root logger or of the logger `lit_hf`, whoever adds it and whenever, takes its place, so
    that each line stands once. In a distributed run the first process speaks for all.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, in one piece: see `lit_hf.callbacks.rendering.table.show`."""
        from lightning.pytorch.utilities import rank_zero_only  # late: `import lit_hf` is light

        handlers = [*logging.getLogger("lit_hf").handlers, *logging.getLogger().handlers]
        if handlers == [self] and getattr(rank_zero_only, "rank", 0) == 0:
            self.stream = sys.stderr  # the one of now: a progress bar puts its own there
            super().emit(record)


def show_log_lines() -> None:
    """Let the logger `lit_hf` show its lines, unless the program has set it up already."""
    log = logging.getLogger("lit_hf")
    if not log.handlers:
        log.addHandler(_safe(FallbackHandler()))
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)


@contextmanager
def own_lines() -> Iterator[None]:
    """Show log lines on stderr, and nowhere else: the lines of the command, whoever calls it.

    The root logger of a notebook may have a handler, as in Colab, which would show them once more.
    Afterwards the logger is as it was. Only the first process of a run tells more than errors.
    """
    log = logging.getLogger("lit_hf")
    before = log.handlers, log.level, log.propagate
    log.handlers, log.propagate = [_safe(logging.StreamHandler())], False
    log.setLevel(logging.INFO if os.environ.get("LOCAL_RANK", "0") == "0" else logging.ERROR)
    try:
        yield
    finally:
        log.handlers, log.propagate = before[0], before[2]
        log.setLevel(before[1])


def _safe(handler: logging.Handler) -> logging.Handler:
    handler.setFormatter(SafeLines())
    return handler
