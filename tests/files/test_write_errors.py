import errno
import os
from pathlib import Path

import pytest

from lit_hf.errors import InputError, WriteError
from lit_hf.files.write_errors import full_disk, naming


def _error(number: int, name: object = None) -> OSError:
    return OSError(number, os.strerror(number), name)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (_error(errno.ENOSPC), "No space left on device; it has 99 bytes. .* Make room"),
        (_error(errno.EDQUOT), "Disk quota exceeded; it has 99 bytes"),
        (_error(errno.EROFS), "Read-only file system. .*Give a folder that can be written"),
        (_error(errno.ENOTDIR, "run"), "Not a directory"),
        (Exception("IoError(Os { code: 28, kind: StorageFull })"), "No space left on device"),
        (Exception("No space left on device (os error 28)"), "No space left on device"),
    ],
)
def test_errors__of_a_file_name_it_and_say_what_to_do(error: Exception, message: str) -> None:
    expected = f"^run/a: cannot be written: {message}"
    with pytest.raises(WriteError, match=expected), naming(Path("run/a"), lambda: 99):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        _error(errno.ENOENT, "/elsewhere/train.csv"),
        OSError("can't load the tokenizer"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        InputError("row 3"),
        WriteError("other"),
        KeyError("x"),
    ],
)
def test_errors__of_other_things_stay_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, naming(Path("run/a")):
        raise error
    assert caught.value is error


def test_full_disk__that_others_have_found() -> None:
    assert str(full_disk(_error(errno.ENOSPC, b"run/a"))).startswith("run/a: cannot be written: No")
    assert str(full_disk(_error(errno.EDQUOT))).startswith("a file: cannot be written: ")
    assert full_disk(_error(errno.EIO, "run/a")) is None
    assert full_disk(InputError("row 3")) is None
