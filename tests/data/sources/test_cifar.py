import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lit_hf import CIFAR10DataModule, ImageClassificationDataModule
from lit_hf.data.sources.cifar import CLASSES, batches_of_archive, batches_of_folder
from lit_hf.data.sources.resolve import tables_from_dataset
from lit_hf.data.sources.table import Table
from lit_hf.errors import InputError
from tests.cifar_files import (
    batch_files,
    binary_batch,
    images_of,
    packed,
    python_batch,
    python_meta,
    write_files,
)

IMAGES = images_of(*range(24))
LABELS = [number % 10 for number in range(24)]
HOMES = {".bin": "cifar-10-batches-bin", "": "cifar-10-batches-py"}


def _source(folder: Path, ending: str, kind: str) -> Path:
    """The batches as a folder, in a folder, or in an archive."""
    files, home = batch_files(ending, IMAGES, LABELS), HOMES[ending]
    if kind == "archive":
        folder.mkdir(exist_ok=True)
        (folder / "cifar-10.tar.gz").write_bytes(packed(home, files))
        return folder / "cifar-10.tar.gz"
    name = home if kind == "parent" else "renamed"
    write_files(folder / name, files)
    return folder if kind == "parent" else folder / name


def _rows(tables: Sequence[Table]) -> tuple[np.ndarray, list[object]]:
    rows = [row for table in tables for _, row in table.rows()]
    return np.stack([np.asarray(row["image"]) for row in rows]), [row["label"] for row in rows]


@pytest.mark.parametrize("ending", HOMES)
@pytest.mark.parametrize("kind", ["folder", "parent", "archive"])
def test_batches__are_read_from_every_place(ending: str, kind: str, tmp_path: Path) -> None:
    source = str(_source(tmp_path, ending, kind))
    images, labels = _rows(tables_from_dataset(source, None, "train"))
    assert np.array_equal(images, IMAGES[:20])
    assert labels == LABELS[:20]
    images, labels = _rows(tables_from_dataset(source, None, "test"))
    assert np.array_equal(images, IMAGES[20:])
    assert labels == LABELS[20:]
    assert tables_from_dataset(source, None, "val") == []
    assert tables_from_dataset(source, None, "predict") == []


@pytest.mark.parametrize("source", ["folder", "archive"])
def test_stamp__changes_with_the_content(source: str, tmp_path: Path) -> None:
    stamps = set()
    for number, labels in enumerate([LABELS, LABELS, [*LABELS[:-1], 9]]):
        place = tmp_path / str(number)
        files = batch_files(".bin", IMAGES, labels)
        if source == "folder":
            found = batches_of_folder(write_files(place, files))
        else:
            place.write_bytes(packed("x", files))
            found = batches_of_archive(place)
        assert found is not None
        stamps.add(found.tables("test")[0].stamp)
    assert len(stamps) == 2


@pytest.mark.parametrize("ending", HOMES)
def test_data_modules__keep_pixels_and_names(ending: str, tiny_vit: str, tmp_path: Path) -> None:
    source = str(_source(tmp_path, ending, "archive"))
    modules: list[ImageClassificationDataModule] = [
        CIFAR10DataModule(tiny_vit, dataset=source, val_fraction=0),
        ImageClassificationDataModule(tiny_vit, dataset=source, val_fraction=0),
    ]
    for data in modules:
        data.setup("fit")
        data.setup("test")
        assert data.label_names == CLASSES
        part = data.rows("train")
        assert part["labels"] == LABELS[:20]
        assert part["image"] == [image.tobytes() for image in IMAGES[:20]]
        assert part["id"] == [str(number) for number in range(20)]
        assert data.rows("test").num_rows == 4


def test_order_of_names__does_not_hide_ordinary_files(tmp_path: Path) -> None:
    """A folder with files for the splits is read as before, though batches lie in it."""
    _source(tmp_path, ".bin", "parent")
    (tmp_path / "train.csv").write_text("text,label\na,0\n")
    (table,) = tables_from_dataset(str(tmp_path), None, "train")
    assert table.columns == ["text", "label"]


def _damaged(folder: Path, ending: str, name: str, content: bytes | None) -> Path:
    source = _source(folder, ending, "folder")
    if content is None:
        (source / name).unlink()
    else:
        (source / name).write_bytes(content)
    return source


def test_missing_batch__is_told_and_the_others_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = _damaged(tmp_path, ".bin", "data_batch_3.bin", None)
    with caplog.at_level(logging.WARNING):
        assert len(tables_from_dataset(str(source), None, "train")) == 4
    assert "data_batch_3.bin not there, so train has only 4 of the 5 batches" in caplog.text
    (source / "test_batch.bin").unlink()
    assert tables_from_dataset(str(source), None, "test") == []


WRONG_LABEL = binary_batch(IMAGES[:3], [1, 10, 255])
PAGE = b"<!DOCTYPE html><html>404</html>"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_2.bin", b"", r"data_batch_2\.bin: the file is empty"),
        ("data_batch_2.bin", bytes(3072), r"3072 bytes are no whole images of 3073"),
        ("data_batch_2.bin", bytes(3074), r"3074 bytes are no whole images"),
        ("data_batch_2.bin", PAGE, "this is a web page"),
        ("data_batch_2.bin", WRONG_LABEL, r"batch_2\.bin, row 2: label 10, .*0 to 9 \(2 such"),
        ("data_batch_2", b"", "data_batch_2: the file is empty"),
        ("data_batch_2", PAGE, "this is a web page"),
        ("data_batch_2", b"text", "no pickle of protocol 2 to 4"),
        ("data_batch_2", python_batch(IMAGES[:3], [0] * 3)[:-900], "cut off or damaged"),
        ("data_batch_2", python_batch(IMAGES[:3], [0, 1]), r"\[3, 3072\] with 2 labels; wanted"),
        ("data_batch_2", python_batch(IMAGES[:2], [0, 12]), "row 2: label 12"),
        ("data_batch_2", python_batch(IMAGES[:0], []), r"\[0, 3072\] with 0 labels"),
        ("data_batch_2", b"\x80\x02N.", "wanted a dict of a CIFAR-10 batch, found a NoneType"),
        ("data_batch_2", b"\x80\x02}U\x0bfine_labelsNs.", "under 'labels', .* keys.*fine_labels"),
        ("data_batch_2", b"\x80\x02}U\x06labels](NK\x01es.", "labels are integers, .*NoneType"),
        ("data_batch_2", b"\x80\x02}(U\x06labels]U\x04dataNu.", "`data` is no array but a None"),
        ("data_batch_2", b"\x80\x02cos\nsystem\n.", r"data_batch_2: .* asks for 'os\.system'"),
        ("batches.meta", python_meta(["cat", "dog"]), "batches.meta: the classes are cat, dog; th"),
        ("batches.meta", b"\x80\x02}U\x05namesNs.", "under 'label_names', but it is not there"),
        ("batches.meta.txt", b"cat\ndog\n", r"meta\.txt: the classes are cat, dog; those of CIF"),
    ],
)
def test_damage__is_told(
    name: str, content: bytes, message: str, tiny_vit: str, tmp_path: Path
) -> None:
    ending = "" if Path(name).suffix in ("", ".meta") else ".bin"
    source = _damaged(tmp_path, ending, name, content)
    for on_bad_row in ("error", "skip"):  # a damaged file is no bad row
        data = CIFAR10DataModule(tiny_vit, dataset=str(source), on_bad_row=on_bad_row)
        with pytest.raises(InputError, match=message):
            data.setup("fit")
    if content:
        shutil.rmtree(source)
        files = {**batch_files(ending, IMAGES, LABELS), name: content}
        (tmp_path / "a.tar.gz").write_bytes(packed("cifar", files))
        data = CIFAR10DataModule(tiny_vit, dataset=str(tmp_path / "a.tar.gz"))
        with pytest.raises(InputError, match=message):
            data.setup("fit")


def test_places__with_both_kinds_or_one_twice_are_refused(tmp_path: Path) -> None:
    for ending in HOMES:
        _source(tmp_path, ending, "parent")
    with pytest.raises(InputError, match=r"binary and Python batches are both here \(cifar-10-b"):
        batches_of_folder(tmp_path)
    files = batch_files(".bin", IMAGES, LABELS)
    twice = {**files, **{f"copy/{name}": content for name, content in files.items()}}
    (tmp_path / "a.tar.gz").write_bytes(packed("cifar", twice))
    with pytest.raises(InputError, match="a batch is here twice: cifar/batches"):
        batches_of_archive(tmp_path / "a.tar.gz")


def test_batch__that_is_a_folder_or_a_loop_of_links_is_told(tmp_path: Path) -> None:
    messages = {"data_batch_1": "is a folder", "data_batch_2": "cannot be read: Too"}
    for name, message in {**messages, "batches.meta": "cannot be read: Too"}.items():
        source = _damaged(tmp_path / name, "", name, None)
        if name == "data_batch_1":
            (source / name).mkdir()
        else:
            (source / name).symlink_to(name)
        with pytest.raises(InputError, match=message):
            _rows(tables_from_dataset(str(source), None, "train"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (PAGE, "this is a web page"),
        (packed("x", {"train": b"y"}), "only CIFAR-10's own archives are read .* but 'x/train'"),
        (packed("x", {}), "but no file. Unpack it and name the folder"),
        (packed("x", batch_files(".bin", IMAGES, LABELS))[:900], "not a whole .tar.gz"),
    ],
)
def test_archives__of_other_things_are_told(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(content)
    with pytest.raises(InputError, match=message):
        tables_from_dataset(str(tmp_path / "a.tgz"), None, "train")
