"""Pipes with names, as a folder made by a stranger may hold in place of files."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")


@contextmanager
def filled_pipe(path: Path, content: str) -> Iterator[None]:
    """A pipe that gives a text to whoever reads it, so that a reader is found out and not kept."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(content,), daemon=True)
    writer.start()
    yield
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer.join()
    os.close(reader)
