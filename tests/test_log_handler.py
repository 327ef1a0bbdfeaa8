import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lit_hf.log_handler import own_lines, show_log_lines


@contextmanager
def _program(*handlers: logging.Handler, level: int = logging.NOTSET) -> Iterator[logging.Logger]:
    """A program that has imported the package, its root logger empty as pytest's is not."""
    log, root = logging.getLogger("lit_hf"), logging.getLogger()
    before = log.handlers, log.level, root.handlers
    log.handlers, root.handlers = list(handlers), []
    log.setLevel(level)
    try:
        show_log_lines()
        yield logging.getLogger("lit_hf.data")
    finally:
        log.handlers, root.handlers = before[0], before[2]
        log.setLevel(before[1])


def test_lines__show_once_where_nothing_is_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    with _program() as log:
        show_log_lines()  # as after a reload
        log.info("3 texts are cut")
        log.warning("a class\nof one row")
        log.debug("no")
    assert capsys.readouterr() == ("", "3 texts are cut\na class\nof one row\n")


def test_lines__hold_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    with _program() as log:
        log.warning("the best checkpoint \x1b[31m\u202egpj.ckpt\r:\n  gone")
    assert capsys.readouterr().err == "the best checkpoint \\x1b[31m\\u202egpj.ckpt\\r:\n  gone\n"


@pytest.mark.parametrize("name", ["", "lit_hf"])
def test_lines__are_left_to_a_handler_of_the_program(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.StringIO()
    with _program() as log:
        logging.getLogger(name).addHandler(logging.StreamHandler(stream))
        log.info("3 texts are cut")
    assert stream.getvalue() == "3 texts are cut\n"
    assert capsys.readouterr().err == ""


def test_lines__hide_the_keys_of_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    with _program() as log:
        log.warning("https://example.org/x?token=s3cr3t: 403")
        with own_lines():
            log.warning("https://me:s3cr3t@example.org/x: 403")
    told = capsys.readouterr().err
    assert "s3cr3t" not in told
    assert told.count("***") == 2


@pytest.mark.parametrize("rank", ["0", "1"])
def test_lines__of_the_command_show_once_in_a_program_that_shows_all(
    rank: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", rank)
    stream = io.StringIO()
    with _program() as log:
        logging.getLogger().addHandler(logging.StreamHandler(stream))
        with own_lines():
            log.info("3 texts are cut")
            log.error("no")
        assert (stream.getvalue(), capsys.readouterr().err) == (
            "",
            "3 texts are cut\nno\n" if rank == "0" else "no\n",
        )
        log.info("4 texts are cut")
    assert stream.getvalue() == "4 texts are cut\n"
