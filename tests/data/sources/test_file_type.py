import gzip
import os
from pathlib import Path

import pytest

from lit_hf.data.sources.readers import open_file
from lit_hf.errors import InputError

CONTENT = {
    "gzip": (gzip.compress(b"text,label"), "compressed \\(gzip\\)"),
    "zip": (b"PK\x03\x04 and more", "compressed \\(zip, or an Excel sheet\\)"),
    "png": (b"\x89PNG\r\n\x1a\n", "an image \\(PNG\\)"),
}


@pytest.mark.parametrize("case", CONTENT)
def test_content__of_another_kind(case: str, tmp_path: Path) -> None:
    content, wanted = CONTENT[case]
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.csv: the content is {wanted}; wanted is plain"):
        open_file(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_content__names_the_encoding(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufefftext\n".encode(encoding))
    with pytest.raises(InputError, match=f"encoded as {encoding[:6].upper()}; save it as UTF-8"):
        open_file(str(tmp_path / "a.csv"))


def test_file__pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(InputError, match="a pipe or a device; write its content to a file"):
        open_file(str(tmp_path / "a.csv"))
