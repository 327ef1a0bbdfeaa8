import gzip
import os
from pathlib import Path

import pytest

from lit_hf.data.sources.file_type import check_file, content_stamp, lines_of
from lit_hf.errors import InputError

CONTENT = {
    "compressed \\(gzip\\)": gzip.compress(b"text,label"),
    "an archive \\(zip\\) or an Excel sheet": b"PK\x03\x04 and more",
    "an image": b"\x89PNG\r\n\x1a\n",
    "a web page": b"\n<!DOCTYPE html><html>",
    "a Git LFS pointer.*git lfs pull": b"version https://git-lfs.github.com/spec/v1\n",
    "UTF-16; save it as UTF-8": "\ufefftext\n".encode("utf-16"),
    "UTF-32; save it as UTF-8": "\ufefftext\n".encode("utf-32"),
    "is empty": b"",
}


@pytest.mark.parametrize("found", CONTENT)
def test_content__of_another_kind_is_named(found: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT[found])
    with pytest.raises(InputError, match=rf"a\.csv: .*{found}"):
        check_file(tmp_path / "a.csv")


def test_file__that_is_none(tmp_path: Path) -> None:
    (tmp_path / "train.csv").touch()
    os.mkfifo(tmp_path / "pipe.csv")
    for path, found in (
        (tmp_path / "trian.csv", r"no such file. Did you mean 'train.csv'\?"),
        (tmp_path, "expected a file"),
        (tmp_path / "pipe.csv", "expected a file"),
    ):
        with pytest.raises(InputError, match=found):
            check_file(path)


def test_lines__are_utf8_and_end_at_line_feeds_only(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\u2028still\ntwo\n".encode())
    assert list(lines_of(path)) == [(1, "one\u2028still\n"), (2, "two\n")]
    before = content_stamp(path)
    path.write_bytes(b"one\ncaf\xe9\n")
    assert content_stamp(path) != before
    with pytest.raises(InputError, match=r"a\.txt, line 2: not UTF-8 .*latin-1.*Save it as UTF-8"):
        list(lines_of(path))
