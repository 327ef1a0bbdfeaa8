"""Where the rows of a split come from: files, a folder or a Hub data set."""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lit_hf.data.sources.cifar import batches_of_archive, batches_of_folder
from lit_hf.data.sources.file_type import check_content, head_of, refuse_archive
from lit_hf.data.sources.files import files_of_split, missing_parts, without_repeats
from lit_hf.data.sources.image_folder import ENDINGS, has_images, image_table
from lit_hf.data.sources.readers import open_file
from lit_hf.data.sources.split_names import (
    SPLIT_NAMES,
    part_of_hub,
    split_of,
    unread_for_validation,
)
from lit_hf.data.sources.split_names import Split as Split
from lit_hf.data.sources.table import Table, table_from_dataset
from lit_hf.errors import InputError, nearest
from lit_hf.files.bundled import find_bundled
from lit_hf.files.paths import matching

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

log = logging.getLogger(__name__)
_DATA_FILE = re.compile(r"\.(csv|tsv|jsonl|json|parquet|txt)$", re.IGNORECASE)
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")


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
    paths: list[str] = []
    for name in [files] if isinstance(files, str) else files:
        paths += [name] if os.path.exists(name) else sorted(matching(name)) or [find_bundled(name)]
    return [_open(path, column_names) for path in without_repeats(paths)]


def _open(path: str, column_names: Sequence[str] | None) -> Table:
    if os.path.isdir(path) and has_images(Path(path)):
        return image_table(Path(path))
    if os.path.isfile(os.path.join(path, "dataset_info.json")):
        return table_from_dataset(path, _saved(Path(path)))
    if path.lower().endswith(ENDINGS) and os.path.isfile(path):
        raise InputError(
            f"{path}: this is an image; wanted is a folder of images, or a table (.csv, .jsonl, "
            ".parquet) that names them."
        )
    return open_file(path, column_names)


def tables_from_dataset(
    dataset: str, subset: str | None, split: Split, column_names: Sequence[str] | None = None
) -> list[Table]:
    """Open one split of a local folder or of a Hub data set; [] where it has no such split.

    Args:
        dataset: a folder with a file, numbered files or a folder for each split, a folder written
            by `save_to_disk`, CIFAR-10's batches in a folder or a .tar.gz, or a Hub id.
        subset: folder inside the folder, or configuration of the Hub data set; `dataset` may be
            that inner folder itself.
        split: which part is wanted.
        column_names: names of the columns of files without a header line.

    Raises:
        InputError: if there is nothing of that name, it cannot be reached, or several of its files
            or parts may be the split.
    """
    dataset = find_bundled(dataset)
    if dataset.lower().endswith((".tar.gz", ".tgz")) and os.path.isfile(dataset):
        return batches_of_archive(Path(dataset)).tables(split)
    if os.path.isfile(dataset):
        refuse_archive(Path(dataset))
        raise InputError(
            f"dataset {dataset!r}: this is a file, a folder or a Hub id is wanted. For a file use "
            "`train_file`, `val_file`, `test_file` or `predict_file`."
        )
    folder = _folder_of(dataset, subset)
    if not os.path.isdir(folder):  # unlike Path.is_dir no error at a very long name
        if os.path.isdir(dataset):  # its README might say where else to read
            raise _no_subset(Path(dataset), str(subset))
        return _from_hub(dataset, subset, split)
    if (folder / "dataset_dict.json").exists() or (folder / "dataset_info.json").exists():
        return _from_disk(folder, split)
    files = _files_of(folder)
    packed = {path: _DATA_FILE.sub("", path.stem) for path in folder.iterdir() if _is_packed(path)}
    if not any(split_of(name) for name in [*files.values(), *packed.values()]):
        batches = batches_of_folder(folder)
        if batches is not None:
            return batches.tables(split)
        raise InputError(
            f"{folder}: no file for any split; wanted names such as train.csv, "
            "validation-00000.parquet or test_text.txt."
        )
    found = files_of_split(folder, files, split)
    unread = [path for path, name in packed.items() if split_of(name) == split != "val"]
    if unread and not found:  # of validation rows that is told: a part of others can be set aside
        check_content(unread[0], head_of(unread[0]))
        raise InputError(f"{unread[0]}: a file of this ending cannot be read; unpack it.")
    if missing := missing_parts(found):
        log.warning(f"{folder}: of the {split} rows {missing} (by the names of the files).")
    if split == "val" and not found:
        _tell_unread(str(folder), _unread_files(folder, files))
    return [_open(str(file), column_names) for file in found]


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


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() in _PACKED and _is_data(path.with_suffix("")) and path.is_file()


def _unread_files(folder: Path, files: Mapping[Path, str]) -> list[str]:
    """What may be validation rows all the same in a folder that has none that can be read."""
    others = [path for path in sorted(folder.iterdir()) if path not in files]
    alike = [path.name for path in others if split_of(path.stem) == "val"]
    said = [
        str(file.relative_to(folder)) for file in files if split_of(files[file]) == "evaluation"
    ]
    return alike + said


def _tell_unread(place: str, names: Sequence[str]) -> None:
    if names:
        log.warning(
            f"{place}: nothing that can be read is named as validation rows "
            f"({', '.join(SPLIT_NAMES['val'])}). Not read for them: {', '.join(names)}. To "
            "validate on one of these set `val_file`; else training rows are set aside."
        )


def _folder_of(dataset: str, subset: str | None) -> Path:
    """The folder of a subset: inside of the one given, or the one given where it has that name."""
    folder = Path(dataset)
    if not subset or not os.path.isdir(dataset):
        return folder
    is_itself = not (folder / subset).is_dir() and folder.resolve().name == subset
    return folder if is_itself else folder / subset


def _from_disk(folder: Path, split: Split) -> list[Table]:
    from datasets import Dataset

    loaded = _saved(folder)
    parts = {"train": loaded} if isinstance(loaded, Dataset) else loaded
    name = _part_of(str(folder), split, list(parts))
    return [table_from_dataset(f"{folder} [{name}]", parts[name])] if name else []


def _saved(folder: Path) -> "Dataset | DatasetDict":
    """What `save_to_disk` has written to a folder."""
    from datasets import load_from_disk

    try:
        return load_from_disk(folder)
    except Exception as error:  # whatever its files make `datasets` raise
        shown = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{folder}: a file of this data set is missing or damaged ({shown}). "
            "Write it anew with `save_to_disk`."
        ) from error


def _from_hub(dataset: str, subset: str | None, split: Split) -> list[Table]:
    from datasets import get_dataset_split_names, load_dataset

    try:
        name = _part_of(dataset, split, get_dataset_split_names(dataset, subset))
        loaded = load_dataset(dataset, subset, split=name) if name else None
    except InputError:
        raise
    except Exception as error:  # network, unknown id or subset, whatever its files say
        shown = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"dataset {dataset!r}: neither a folder here nor to be had from the Hub ({shown}). "
            "Check the spelling and the connection; a gated set needs HF_TOKEN in the environment."
        ) from error
    return [table_from_dataset(f"{dataset} [{name}]", loaded)] if name else []


def _part_of(dataset: str, split: Split, names: Sequence[str]) -> str | None:
    """The name of a split among those of a data set; None where none of them is it."""
    name = part_of_hub(dataset, names, split)
    if split == "val" and name is None:
        _tell_unread(dataset, unread_for_validation(names))
    return name


def _no_subset(folder: Path, subset: str) -> InputError:
    """A folder that has no such part, with what it has."""
    inner = sorted(path.name for path in folder.iterdir() if path.is_dir())
    found = f"it holds the folders {', '.join(map(repr, inner[:20]))}" if inner else "it holds none"
    return InputError(
        f"dataset {str(folder)!r}: there is no folder {subset!r} in it (setting `subset`); {found}."
        f"{nearest(subset, inner)} Set `subset: null` if the files lie in this folder itself."
    )
