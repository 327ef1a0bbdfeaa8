import os
from pathlib import Path

import pytest

from lit_hf.files.paths import file_name, is_local, matching, relative


@pytest.mark.parametrize("name", ["D:\\bert", "D:/bert", "\\\\server\\share\\bert", "~/bert", "/b"])
def test_folder__is_none_of_the_hub(name: str) -> None:
    assert is_local(name)


@pytest.mark.parametrize("name", ["bert", "org/bert", "org/bert-2.0_b"])
def test_name__may_be_of_the_hub(name: str) -> None:
    assert not is_local(name)


def test_name__of_a_file_of_a_run_that_was_moved_here_from_another_system() -> None:
    assert file_name("\\\\server\\share\\run\\last.ckpt") == "last.ckpt"
    assert file_name("/home/run/epoch=0\\1.ckpt") == "epoch=0\\1.ckpt"


def test_relative__has_one_kind_of_separator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sep", "\\")
    monkeypatch.setattr(os.path, "relpath", lambda path, start: "checkpoints\\last.ckpt")
    assert relative("C:\\run\\checkpoints\\last.ckpt", "C:\\run") == "checkpoints/last.ckpt"


def test_relative__to_another_drive_is_the_path_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, start: str) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", refuse)
    assert relative("D:/last.ckpt", "C:/run") == "D:/last.ckpt"


@pytest.mark.parametrize("name", ["rows", "[rows]", "v[1-2] x"])
def test_matching__takes_a_folder_by_its_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "train.csv").touch()
    assert matching(str(folder / "tr*.csv")) == [str(folder / "train.csv")]
