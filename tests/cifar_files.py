"""CIFAR-10's batches as its authors publish them, of drawn images."""

import gzip
import io
import struct
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_hf.data.sources.cifar import CLASSES
from tests.images import drawn

Images = NDArray[np.uint8]  # [N, 32, 32, 3]
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def images_of(*numbers: int) -> Images:
    """Drawn images."""
    return np.stack([drawn(number, 32, 32) for number in numbers])


def flat(images: Images) -> Images:
    """The planes of red, green and blue one after another, [N, 3072]."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), 3072)


def binary_batch(images: Images, labels: Sequence[int]) -> bytes:
    """Records of a byte of label and the planes."""
    planes = flat(images)
    return b"".join(bytes([n]) + planes[row].tobytes() for row, n in enumerate(labels))


def python_batch(images: Images, labels: Sequence[int]) -> bytes:
    """The pickle that Python 2 made of the dict, by hand: its texts are bytes."""
    planes = flat(images)
    shape = b"M%bM%b\x86" % (struct.pack("<H", len(planes)), struct.pack("<H", planes.shape[1]))
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85q\x08U\x01b"
        b"q\x09\x87q\x0aRq\x0b(K\x01%bq\x0ccnumpy\ndtype\nq\x0dU\x02u1K\x00K\x01\x87q\x0eRq\x0f"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89%btb"
        % (shape, _text2(planes.tobytes()))
    )
    names = b"".join(_text2(b"car_s_%06d.png" % row) for row in range(len(labels)))
    return b"\x80\x02}q\x01(%bq\x02%bq\x03%b]q\x05(%be%b%b%b](%beu." % (
        *(_text2(b"batch_label"), _text2(b"training batch 1 of 5")),
        *(_text2(b"labels"), b"".join(b"K" + bytes([n]) for n in labels)),
        *(_text2(b"data"), array),
        *(_text2(b"filenames"), names),
    )


def _text2(text: bytes) -> bytes:
    short = len(text) < 256
    return (b"U" + bytes([len(text)]) if short else b"T" + struct.pack("<i", len(text))) + text


def python_meta(names: Sequence[str] = CLASSES) -> bytes:
    """The pickle with the names of the classes."""
    listed = b"".join(_text2(name.encode()) for name in names)
    return b"\x80\x02}q\x01(%b](%be%bM\x10'u." % (
        _text2(b"label_names"),
        listed,
        _text2(b"num_cases_per_batch"),
    )


def batch_files(ending: str, images: Images, labels: Sequence[int]) -> dict[str, bytes]:
    """The files of a folder, in which the images are dealt to the six batches in order."""
    parts = np.array_split(np.arange(len(images)), len(BATCHES))
    write = binary_batch if ending else python_batch
    files = {
        name + ending: write(images[part], [labels[n] for n in part])
        for name, part in zip(BATCHES, parts, strict=True)
    }
    if ending:
        return {**files, "batches.meta.txt": "\n".join([*CLASSES, ""]).encode()}
    return {**files, "batches.meta": python_meta(), "readme.html": b"<html></html>"}


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """The files in a folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def packed(folder: str, files: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    """A .tar.gz with a folder of files, in another order than they are read, and other members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        home = tarfile.TarInfo(folder)
        home.type = tarfile.DIRTYPE
        archive.addfile(home)
        for name in sorted(files, reverse=True):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
        for member in others:
            archive.addfile(member)
    return gzip.compress(out.getvalue(), mtime=0)  # the same at any time, for names of tests
