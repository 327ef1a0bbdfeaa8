import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_hf import InputError
from lit_hf.checkpointing.reader import check_task, is_intact, load_verified, read_checkpoint
from lit_hf.errors import CorruptError
from tests.damage import flip_weight

WEIGHTS = torch.arange(300.0)


class _Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def _write(path: Path, **more: object) -> Path:
    torch.save({"state_dict": {"w": WEIGHTS}, "global_step": 7, **more}, path)
    return path


def test_read__gives_what_was_written(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ckpt")
    assert is_intact(path)
    content: Any = load_verified(str(path))
    assert content["global_step"] == 7
    assert torch.equal(content["state_dict"]["w"], WEIGHTS)


def test_read__names_what_is_no_checkpoint_file(tmp_path: Path) -> None:
    for path, found in ((tmp_path, "is a folder"), (tmp_path / "none.ckpt", "does not exist")):
        with pytest.raises(InputError, match=found):
            read_checkpoint(path)
        assert not is_intact(path)


@pytest.mark.parametrize("content", [{"weights": {}}, [1, 2], torch.zeros(2)])
def test_read__refuses_what_is_no_lightning_checkpoint(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="no Lightning checkpoint"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_read__runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = _write(tmp_path / "a.ckpt", x=_Code(tmp_path / "ran"))
    with pytest.raises(InputError, match="objects other than data"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_corrupt_file__is_one_error(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ckpt")
    content, other = path.read_bytes(), tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("hello.txt", "hello")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0"
    halves = [content[: int(len(content) * share)] for share in (0, 0.1, 0.5, 0.999)]
    for wrong in (*halves, content[:-1], other.read_bytes(), b"<html></html>", pointer):
        path.write_bytes(wrong)
        with pytest.raises(CorruptError, match=r"a\.ckpt: corrupt"):
            load_verified(path)


def test_flipped_byte__is_an_error_or_has_no_effect(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ckpt")
    content = path.read_bytes()
    for place in range(0, len(content), 11):
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        path.write_bytes(flipped)
        with suppress(InputError):
            found: Any = load_verified(path)
            assert found["global_step"] == 7, place
            assert torch.equal(found["state_dict"]["w"], WEIGHTS), place
    path.write_bytes(content)
    flip_weight(path)
    with pytest.raises(CorruptError, match="checksum"):
        load_verified(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "found None"),
        ({"lit_hf": {"task": "extractive_qa"}}, "found 'extractive_qa'"),
        ({"lit_hf": {"task": "text"}, "hyper_parameters": {}}, "no model config"),
    ],
)
def test_task__of_another_checkpoint_is_refused(content: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_task("a.ckpt", content, "text")
