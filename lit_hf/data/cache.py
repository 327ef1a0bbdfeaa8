"""Prepared rows on disk, built once on a machine and shared by all its processes."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from filelock import FileLock

from lit_hf.errors import InputError


def cache_folder() -> Path:
    """The folder of prepared data: `$LIT_HF_CACHE`, or `lit_hf` in the user's cache folder.

    Raises:
        InputError: if the folder cannot be written.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("LIT_HF_CACHE") or Path(base) / "lit_hf")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{folder}: prepared data cannot be written here: {error.strerror}. "
            "Set LIT_HF_CACHE to a folder that can be written."
        ) from error
    return folder


def key_of(*parts: object) -> str:
    """A name for what the parts determine, and the code that prepares rows.

    Args:
        parts: anything that JSON can write.

    >>> key_of("a", 1) == key_of("a", 1), key_of("a", 1) == key_of("a", 2)
    (True, False)
    """
    text = json.dumps([code_stamp(Path(__file__).parent.parent), *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@cache
def code_stamp(package: Path) -> str:
    """What changes with the code of this floor or the one below: other code, other rows."""
    digest = hashlib.sha256()
    for path in sorted([*package.glob("data/*.py"), *package.glob("functional/*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def cached(key: str, build: Callable[[Path], None]) -> Path:
    """Return the folder named by the key, built by the first process that asks for it.

    Args:
        key: determines the content, see `key_of`.
        build: fills the empty folder it is given. Where it fails or is killed, nothing is left
            under the final name.
    """
    target = cache_folder() / key
    if target.exists():
        return target
    with FileLock(f"{target}.lock"):
        if not target.exists():
            for orphan in target.parent.glob(f"{key}.tmp-*"):  # the lock is ours: its writer died
                shutil.rmtree(orphan, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{key}.tmp-", dir=target.parent))
            try:
                build(folder)
                folder.replace(target)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return target
