import errno
import os
from pathlib import Path

import pytest

from lit_hf.errors import InputError, WriteError
from lit_hf.files.write_errors import full_disk, naming, write_error


def _error(number: int, name: object = None) -> OSError:
    return OSError(number, os.strerror(number), name)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk__is_told_with_what_is_needed_and_what_to_do(tmp_path: Path, number: int) -> None:
    told = str(write_error(tmp_path / "a", _error(number), lambda: 99))
    assert told.startswith(f"{tmp_path}/a: cannot be written: {os.strerror(number)}; it has 99 ")
    assert told.endswith(
        "is unchanged. Make room there, or give a folder on another disk, and "
        "run the same command again."
    )
    assert ("bytes are free" in told) == (number == errno.ENOSPC)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_folder__that_cannot_be_written_is_told_with_what_to_do(number: int) -> None:
    told = str(write_error(Path("run/a"), _error(number), pytest.fail))
    assert told.startswith(f"run/a: cannot be written: {os.strerror(number)}. What")
    assert "Give a folder that can be written; or close it" in told
    assert str(write_error(Path("run/a"), _error(errno.EIO))).endswith("is unchanged.")


def test_full_disk__that_others_have_found_is_told_with_the_file_where_it_has_a_name() -> None:
    assert str(full_disk(_error(errno.ENOSPC, b"run/a"))).startswith("run/a: cannot be written: No")
    assert str(full_disk(_error(errno.EDQUOT))).startswith("a file cannot be written: ")
    assert full_disk(_error(errno.EIO, "run/a")) is None
    assert full_disk(InputError("row 3")) is None


@pytest.mark.parametrize(
    "text",
    [
        'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "…" })',
        "No space left on device (os error 28)",
    ],
)
def test_errors__of_libraries_in_rust_are_told_too(text: str) -> None:
    cannot = "run/a: cannot be written: No space left on device"
    with pytest.raises(WriteError, match=cannot), naming(Path("run/a")):
        raise Exception(text)


@pytest.mark.parametrize(
    "error",
    [
        _error(errno.ENOENT, "/elsewhere/train.csv"),
        OSError("can't load the tokenizer"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        InputError("row 3"),
        KeyError("x"),
    ],
)
def test_errors__of_other_things_stay_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as told, naming(Path("run/a")):
        raise error
    assert told.value is error


def test_errors__of_the_file_itself_its_folder_and_those_above_are_told(tmp_path: Path) -> None:
    cannot = "deep/a: cannot be written"
    path = tmp_path / "run" / "deep" / "a"
    for name in ("run/deep/.a.tmp", "run/deep", "run"):
        with pytest.raises(WriteError, match=cannot), naming(path):
            raise _error(errno.ENOTDIR, str(tmp_path / name))
    with pytest.raises(WriteError, match=cannot), naming(path):
        raise _error(errno.ENOSPC)  # of a stream


def test_errors__that_name_a_file_already_stay(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"^other$"), naming(tmp_path):
        raise WriteError("other")
