import gzip
import io
import tarfile
from pathlib import Path

import pytest

from lit_hf.data.sources.archives import LARGEST, archived_names, read_archived
from lit_hf.errors import InputError
from tests.cifar_files import packed

FILES = {"a": b"one", "b": b"two" * 5000}


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, size
    if size:  # only the claim
        return gzip.compress(member.tobuf(), mtime=0)
    return packed("home", FILES, member)


def test_files__are_named_and_read_in_place(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.tar.gz", packed("home", FILES))
    assert archived_names(path) == ["home/b", "home/a"]
    assert read_archived(path, "home/a") == b"one"
    assert read_archived(path, "home/b") == FILES["b"]
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="'home/c' is not there any more"):
        read_archived(path, "home/c")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_member("../evil"), r"member '\.\./evil' lies outside"),
        (_member("home/../../evil"), "lies outside of the archive"),
        (_member("/tmp/evil"), "member '/tmp/evil' lies outside"),
        (_member("home/x", tarfile.SYMTYPE, "/etc/passwd"), "is a link to '/etc/passwd'"),
        (_member("home/x", tarfile.LNKTYPE, "../../x"), r"is a link to '\.\./\.\./x'"),
        (_member("home/x", tarfile.FIFOTYPE), "is a pipe or a device"),
        (_member("home/x", tarfile.CHRTYPE), "is a pipe or a device"),
        (_member("home/x", size=LARGEST + 1), f"claims {LARGEST + 1} bytes, {LARGEST} at most"),
        (_member("home/a"), "'home/a' is there twice"),
    ],
)
def test_members__that_no_archive_should_hold_are_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = _write(tmp_path / "a.tar.gz", content)
    with pytest.raises(InputError, match=message) as refusal:
        archived_names(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_half_a_download__is_told(part: float, tmp_path: Path) -> None:
    noise = {"a": bytes(range(256)) * 40}
    content = packed("home", noise)
    path = _write(tmp_path / "a.tar.gz", content[: int(part * len(content))])
    with pytest.raises(InputError, match=r"not a whole \.tar\.gz, most often half a download"):
        archived_names(path)


def test_damage__behind_the_last_file_is_told(tmp_path: Path) -> None:
    """The sum at the end covers all; it is looked at though no file is read there."""
    content = bytearray(packed("home", FILES))
    content[-6] ^= 1
    path = _write(tmp_path / "a.tar.gz", bytes(content))
    with pytest.raises(InputError, match=r"not a whole \.tar\.gz.*CRC check failed"):
        archived_names(path)
    with pytest.raises(InputError, match=r"not a whole \.tar\.gz"):
        archived_names(_write(path, packed("home", FILES)[:-4]))


@pytest.mark.parametrize(
    "content", [b"\x1f\x8b rubbish", gzip.compress(b"no tar", mtime=0), b"no gzip"]
)
def test_other_content__is_told(content: bytes, tmp_path: Path) -> None:
    path = _write(tmp_path / "a.tar.gz", content)
    with pytest.raises(InputError, match=r"not a whole \.tar\.gz"):
        archived_names(path)


def test_file__cut_inside_of_the_archive_is_told(tmp_path: Path) -> None:
    whole = gzip.decompress(packed("home", FILES))
    path = _write(tmp_path / "a.tar.gz", gzip.compress(whole[:3000]))
    with pytest.raises(InputError, match=r"not a whole \.tar\.gz.*unexpected end of data"):
        archived_names(path)


def test_missing_archive__is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        archived_names(tmp_path / "a.tar.gz")
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w:gz").close()
    assert archived_names(_write(tmp_path / "a.tar.gz", empty.getvalue())) == []
