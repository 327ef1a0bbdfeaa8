"""Damage to files, as a disk or a copy does it."""

import zipfile
from pathlib import Path


def flip_weight(checkpoint: Path) -> None:
    """Turn one bit within the largest part of a checkpoint, which are weights."""
    content = bytearray(checkpoint.read_bytes())
    with zipfile.ZipFile(checkpoint) as archive:
        weights = max(archive.infolist(), key=lambda part: part.file_size)
    content[weights.header_offset + weights.file_size // 2] ^= 4
    checkpoint.write_bytes(content)
