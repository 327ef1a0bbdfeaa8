"""CIFAR-10's batches as its authors publish them, of drawn images."""

import gzip
import io
import pickle
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
    """The pickle of the dict, with the texts of Python 2 as keys."""
    batch = {b"batch_label": b"batch 1 of 5", b"labels": list(labels), b"data": flat(images)}
    return pickle.dumps(batch, protocol=2)


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
    names = {b"label_names": [name.encode() for name in CLASSES]}
    return {**files, "batches.meta": pickle.dumps(names, protocol=2), "readme.html": b"<html>"}


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """The files in a folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def packed(folder: str, files: dict[str, bytes]) -> bytes:
    """A .tar.gz with a folder of files, in another order than they are read."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in sorted(files, reverse=True):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return gzip.compress(out.getvalue())
