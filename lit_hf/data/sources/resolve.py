"""Where the rows of a split come from: files, a folder or a Hub data set."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lit_hf.data.sources.cifar import cifar_tables
from lit_hf.data.sources.files import open_file
from lit_hf.data.sources.image_folder import has_images, image_table
from lit_hf.data.sources.splits import Split as Split
from lit_hf.data.sources.splits import files_of_split, named_files, part_of_hub, split_of
from lit_hf.data.sources.table import Table, table_from_dataset
from lit_hf.errors import InputError, nearest
from lit_hf.files.bundled import find_bundled
from lit_hf.files.urls import check_local

if TYPE_CHECKING:
    from datasets import Dataset

T = TypeVar("T")
# A compressed file is found, too, so that it is refused and not passed over.
_DATA_FILE = re.compile(
    r"\.(csv|tsv|jsonl|json|parquet|txt)(\.(gz|bz2|xz|zst|zip))?$", re.IGNORECASE
)


def local_paths(
    name: str, paths: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None"
) -> str | list[str] | None:
    """One path of a setting or several as texts; in Python each may be a `Path`.

    Raises:
        InputError: if one is an address.

    >>> local_paths("train_file", Path("a.csv")), local_paths("train_file", ["a.csv", Path("b")])
    ('a.csv', ['a.csv', 'b'])
    """
    if paths is None or isinstance(paths, str | os.PathLike):
        check_local(name, paths)
        return None if paths is None else os.fspath(paths)
    check_local(name, *paths)
    return [os.fspath(path) for path in paths]


def tables_of_split(
    split: Split,
    files: str | Sequence[str] | None,
    dataset: str | None,
    subset: str | None,
    column_names: Sequence[str] | None,
) -> list[Table]:
    """The tables of a split, of its files or else of a data set; [] where neither has any."""
    if files:
        return tables_from_files(files, column_names)
    return tables_from_dataset(dataset, subset, split, column_names) if dataset else []


def tables_from_files(
    files: str | Sequence[str], column_names: Sequence[str] | None = None
) -> list[Table]:
    """Open one file or several, each once; a name may be a pattern, or a folder of images.

    Raises:
        InputError: if a pattern matches nothing, or a file cannot be read or is an image.
    """
    return [_open(find_bundled(path), column_names) for path in named_files(files)]


def _open(path: str, column_names: Sequence[str] | None) -> Table:
    folder = Path(path)
    if (folder / "dataset_info.json").is_file():
        return table_from_dataset(path, _load(path, lambda: _parts_on_disk(folder)["train"]))
    return image_table(folder) if has_images(folder) else open_file(path, column_names)


def tables_from_dataset(
    dataset: str, subset: str | None, split: Split, column_names: Sequence[str] | None = None
) -> list[Table]:
    """Open one split of a local folder or of a Hub data set; [] where it has no such split.

    Args:
        dataset: a folder with a file, numbered files or a folder for each split, a folder written
            by `save_to_disk`, CIFAR-10's batches in a folder or a .tar.gz, or a Hub id.
        subset: folder inside the folder, or configuration of the Hub data set; `dataset` may be
            that inner folder itself.
        split: which part.
        column_names: names of the columns of files without a header line.

    Raises:
        InputError: if there is nothing of that name, it cannot be reached, or several of its files
            or parts may be the split.
    """
    dataset = find_bundled(dataset)
    if os.path.isfile(dataset):
        tables = cifar_tables(Path(dataset), split)
        if tables is None:
            fix = "expected a folder or a Hub id. Set `train_file`, `val_file` …; unpack archives"
            raise InputError(f"dataset {dataset!r}: this is a file, {fix}.")
        return tables
    if not os.path.isdir(dataset):
        return _from_hub(dataset, subset, split)
    folder = _folder_of(Path(dataset), subset)
    if (folder / "dataset_dict.json").exists() or (folder / "dataset_info.json").exists():
        parts = _load(str(folder), lambda: _parts_on_disk(folder))
        name = part_of_hub(str(folder), list(parts), split)
        return [table_from_dataset(f"{folder} [{name}]", parts[name])] if name else []
    files = _files_of(folder)
    if not any(map(split_of, files.values())):
        tables = cifar_tables(folder, split)
        if tables is None:
            form = "names such as train.csv, validation-00000.parquet or test_text.txt"
            raise InputError(f"{folder}: no file for any split; expected {form}.")
        return tables
    return [_open(str(file), column_names) for file in files_of_split(folder, files, split)]


def _folder_of(folder: Path, subset: str | None) -> Path:
    """The folder of a subset: inside of the one given, or the one given where it has that name."""
    inner = folder / (subset or "")
    if inner.is_dir():
        return inner
    if folder.resolve().name == subset:
        return folder
    found = sorted(path.name for path in folder.iterdir() if path.is_dir())
    raise InputError(
        f"dataset {str(folder)!r}: there is no folder {subset!r} in it (setting `subset`), but "
        f"{found[:20]}.{nearest(str(subset), found)} For files of this folder itself set null."
    )


def _files_of(folder: Path) -> dict[Path, str]:
    """The files and folders of images in a folder, and in those of its folders that are splits.

    Returns:
        Each with the name that may say its split: that of the file, or of the folder around it.
    """
    files: dict[Path, str] = {}
    for path in sorted(folder.iterdir()):
        if _is_data(path):
            files[path] = _DATA_FILE.sub("", path.name)
        elif path.is_dir() and split_of(path.name):
            is_one = has_images(path) or (path / "dataset_info.json").exists()
            inner = [path] if is_one else filter(_is_data, sorted(path.iterdir()))
            files |= dict.fromkeys(inner, path.name)
    return files


def _is_data(path: Path) -> bool:
    stem = _DATA_FILE.sub("", path.name)
    is_data = stem != path.name and not stem.endswith("_labels") and not stem.startswith(".")
    return is_data and not path.is_dir()


def _parts_on_disk(folder: Path) -> "dict[str, Dataset]":
    """What `save_to_disk` has written to a folder, by the names of the splits."""
    from datasets import Dataset, load_from_disk

    loaded = load_from_disk(folder)
    return {"train": loaded} if isinstance(loaded, Dataset) else dict(loaded)


def _from_hub(dataset: str, subset: str | None, split: Split) -> list[Table]:
    from datasets import get_dataset_split_names, load_dataset

    names = _load(dataset, lambda: get_dataset_split_names(dataset, subset))
    name = part_of_hub(dataset, names, split)
    if name is None:
        return []
    loaded = _load(dataset, lambda: load_dataset(dataset, subset, split=name))
    return [table_from_dataset(f"{dataset} [{name}]", loaded)]


def _load(dataset: str, load: Callable[[], T]) -> T:
    """What `datasets` reads.

    Raises:
        InputError: for a network fault, an unknown id, a missing or corrupt file.
    """
    try:
        return load()
    except Exception as error:  # whatever the files make `datasets` raise
        shown = (str(error) or type(error).__name__).splitlines()[0]
        fix = "not a folder here, nor to be had from the Hub; a gated one needs HF_TOKEN"
        if os.path.isdir(dataset):
            fix = "a file is missing or corrupt: write it again with `save_to_disk`"
        raise InputError(f"dataset {dataset!r}: {fix} ({shown}).") from error
