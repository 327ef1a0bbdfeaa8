"""Log lines of the package in a program that has set up no logging, such as a notebook."""

import logging
import sys
from typing import TextIO


class FallbackHandler(logging.StreamHandler[TextIO]):
    """Writes log lines to stderr where no other handler shows them.

    By itself Python shows warnings and drops the rest, such as how many texts are cut. A handler of
    the root logger or of the logger `lit_hf`, whoever adds it and whenever, takes its place, so
    that each line stands once. In a distributed run the first process speaks for all.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, in one piece: see `lit_hf.callbacks.panels.show`."""
        from lightning.pytorch.utilities import rank_zero_only  # late: `import lit_hf` is light

        handlers = [*logging.getLogger("lit_hf").handlers, *logging.getLogger().handlers]
        if handlers == [self] and getattr(rank_zero_only, "rank", 0) == 0:
            self.stream = sys.stderr  # the one of now: a progress bar puts its own there
            super().emit(record)


def show_log_lines() -> None:
    """Let the logger `lit_hf` show its lines, unless the program has set it up already."""
    log = logging.getLogger("lit_hf")
    if not log.handlers:
        log.addHandler(FallbackHandler())
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)
