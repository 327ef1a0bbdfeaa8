"""A process that does one run after another, and keeps what it has imported."""

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

LAST = 2000  # characters of what a run has printed that tell why it failed


class Worker:
    """A process of its own for all runs of a function.

    Behind a run that failed or took too long it is ended, as a GPU that has met an error answers no
    more; the next run begins another.

    Args:
        name: whose runs they are.
        act: the function; its module is imported when the process begins.
        log: file that gets what it prints.
        variables: of its environment.
    """

    def __init__(
        self, name: str, act: Callable[..., Any], log: Path, variables: Mapping[str, str]
    ) -> None:
        self.name, self.act, self.log, self.variables = name, act, log, variables
        self._process: SpawnProcess | None = None
        self._runs: Connection

    def begin(self) -> None:
        """Begin the process; there is no need to wait for it."""
        spawn = multiprocessing.get_context("spawn")
        self._runs, its_end = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(self.act, its_end, self.log))
        with environment(self.variables):
            self._process.start()
        its_end.close()

    def run(self, seconds: float, *arguments: object) -> Any:  # noqa: ANN401 - of the function
        """Call the function in the process.

        Args:
            seconds: after which the process is ended.
            arguments: of the function.

        Raises:
            RuntimeError: it failed, with the end of what it has printed.
            TimeoutError: it took too long, likewise.
        """
        before = self.log.stat().st_size if self.log.exists() else 0
        if self._process is None:
            self.begin()
        self._runs.send(arguments)
        if not self._runs.poll(seconds):
            self.close(patience=0)
            raise TimeoutError(f"{self.name} took more than {seconds:.0f} s\n{self._end(before)}")
        try:
            results: tuple[Any] | None = self._runs.recv()
        except EOFError:  # it is gone
            results = None
        if results is None:
            self.close()
            raise RuntimeError(f"{self.name} failed\n{self._end(before)}")
        return results[0]

    def close(self, patience: float = 2) -> None:
        """End the process, by force if it does not end within so many seconds."""
        if self._process is not None:
            self._runs.close()  # which it takes for the end
            self._process.join(patience)
            self._process.kill()
            self._process.join()
            self._process = None

    def _end(self, before: int) -> str:
        """The end of what was printed since a place in the log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as stream:
            stream.seek(before)
            return stream.read().decode(errors="replace")[-LAST:]


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables for the processes that begin meanwhile."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def serve(act: Callable[..., Any], runs: Connection, log: Path) -> None:
    """Call a function again and again, until nobody is there to ask for it.

    Args:
        act: the function.
        runs: gives arguments, and gets a tuple of the result, or None where there is none.
        log: file that gets what is printed.
    """
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    while True:
        try:
            arguments = runs.recv()
        except EOFError:
            return
        try:
            results = (act(*arguments),)
        except (Exception, SystemExit):
            traceback.print_exc()
            runs.send(None)
        else:
            runs.send(results)
