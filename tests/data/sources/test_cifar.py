import logging
import os
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lit_hf import CIFAR10DataModule
from lit_hf.data.sources.cifar import CLASSES, cifar_tables
from lit_hf.data.sources.resolve import tables_from_dataset
from lit_hf.data.sources.table import Table
from lit_hf.errors import InputError
from tests.cifar_files import (
    batch_files,
    binary_batch,
    images_of,
    packed,
    python_batch,
    write_files,
)

IMAGES = images_of(*range(24))
LABELS = [number % 10 for number in range(24)]
HOMES = {".bin": "cifar-10-batches-bin", "": "cifar-10-batches-py"}


def _source(folder: Path, ending: str, kind: str, **changed: bytes) -> Path:
    """The batches as a folder, in a folder, or in an archive."""
    files = {**batch_files(ending, IMAGES, LABELS), **changed}
    if kind == "archive":
        (folder / "cifar-10.tar.gz").write_bytes(packed(HOMES[ending], files))
        return folder / "cifar-10.tar.gz"
    inner = write_files(folder / (HOMES[ending] if kind == "parent" else "renamed"), files)
    return folder if kind == "parent" else inner


def _rows(tables: Sequence[Table]) -> tuple[np.ndarray, list[object]]:
    rows = [row for table in tables for _, row in table.rows()]
    return np.stack([np.asarray(row["image"]) for row in rows]), [row["label"] for row in rows]


@pytest.mark.parametrize("ending", HOMES)
@pytest.mark.parametrize("kind", ["folder", "parent", "archive"])
def test_batches__are_read_from_every_place(ending: str, kind: str, tmp_path: Path) -> None:
    source = str(_source(tmp_path, ending, kind))
    for split, part in (("train", slice(20)), ("test", slice(20, 24))):
        images, labels = _rows(tables_from_dataset(source, None, split))  # type: ignore[arg-type]  # splits
        assert np.array_equal(images, IMAGES[part])
        assert labels == LABELS[part]
    assert tables_from_dataset(source, None, "val") == []


@pytest.mark.parametrize("ending", HOMES)
def test_data_module__keeps_pixels_and_names(ending: str, tiny_vit: str, tmp_path: Path) -> None:
    source = str(_source(tmp_path, ending, "archive"))
    data = CIFAR10DataModule(tiny_vit, dataset=source, val_fraction=0)
    for stage in ("fit", "test"):
        data.setup(stage)
    assert data.label_names == CLASSES
    part = data.rows("train")
    assert part["labels"] == LABELS[:20]
    assert part["image"] == [image.tobytes() for image in IMAGES[:20]]
    assert part["id"] == [str(number) for number in range(20)]
    assert data.rows("test").num_rows == 4


def test_missing_batch__is_told_and_the_others_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = _source(tmp_path, ".bin", "folder")
    (source / "data_batch_3.bin").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(tables_from_dataset(str(source), None, "train")) == 4
    assert "data_batch_3.bin not there, so train is not the whole split" in caplog.text


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_2.bin", bytes(3074), "3074 bytes are no whole images of 3073"),
        ("data_batch_2.bin", binary_batch(IMAGES[:2], [1, 10]), r"batch_2\.bin, row 2: label 10"),
        ("data_batch_2", b"text", "no pickled CIFAR-10 batch"),
        ("data_batch_2", python_batch(IMAGES[:3], [0] * 3)[:-900], "no pickled .* or corrupt"),
        ("data_batch_2", python_batch(IMAGES[:3], [0, 1]), r"found \[3, 3072\] of uint8 and 2 lab"),
        ("data_batch_2", pickle.dumps({"fine_labels": 1}), r"the keys \['fine_labels'\]"),
        ("data_batch_2", pickle.dumps(_Evil()), "asks for posix.mkdir, which was not run"),
        ("batches.meta.txt", b"cat\ndog\n", r"meta\.txt: the classes are not those of CIFAR-10"),
    ],
)
def test_damage__is_told(
    name: str, content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = "" if Path(name).suffix in ("", ".meta") else ".bin"
    monkeypatch.chdir(tmp_path)
    for kind in ("folder", "archive"):
        source = _source(tmp_path, ending, kind, **{name: content})
        with pytest.raises(InputError, match=message):
            _rows(cifar_tables(source, "train") or [])
    assert not (tmp_path / "ran").exists()


def test_archive__that_is_cut_or_has_a_wrong_checksum(tmp_path: Path) -> None:
    source = _source(tmp_path, ".bin", "archive")
    whole = source.read_bytes()
    wrong = bytearray(whole)
    wrong[-6] ^= 1  # of the checksum behind the last member
    for number, content in enumerate(
        [whole[:-9], whole[: len(whole) // 2], bytes(wrong), b"<html>"]
    ):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"no valid \.tar\.gz, most often half a download"):
            cifar_tables(path, "train")


def test_both_kinds_in_one_place__are_refused(tmp_path: Path) -> None:
    for ending in HOMES:
        _source(tmp_path, ending, "parent")
    with pytest.raises(InputError, match="binary and Python batches are both here"):
        cifar_tables(tmp_path, "train")
