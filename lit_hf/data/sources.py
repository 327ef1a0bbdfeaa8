"""Where the rows of a split come from: files, a folder or a Hub data set."""

import logging
import os
import re
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import Literal

from lit_hf.bundled import find_bundled
from lit_hf.data.cifar_batches import batches_of_archive, batches_of_folder
from lit_hf.data.contents import refuse_archive
from lit_hf.data.image_folders import ENDINGS, has_images, image_table
from lit_hf.data.readers import open_file
from lit_hf.data.tables import Table, table_from_dataset
from lit_hf.errors import InputError, nearest

log = logging.getLogger(__name__)
Split = Literal["train", "val", "test", "predict"]
SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("validation", "val", "valid", "dev"),
    "test": ("test",),
    "predict": ("predict", "unlabelled", "unlabeled"),
}
_SHARD = re.compile(r"[-_.]?\d+(-of-\d+)?$")  # train-00000-of-00002
_DATA_FILE = re.compile(r"\.(csv|tsv|jsonl|json|parquet|txt)$", re.IGNORECASE)


def tables_from_files(
    files: str | Sequence[str], column_names: Sequence[str] | None = None
) -> list[Table]:
    """Open one file or several; a name may be a pattern, `part-*.csv`, or a folder of images.

    Raises:
        InputError: if a pattern matches nothing, or a file cannot be read or is an image.
    """
    tables = []
    for name in [files] if isinstance(files, str) else files:
        found = [name] if os.path.exists(name) else sorted(glob(name)) or [find_bundled(name)]
        tables += [_open(path, column_names) for path in found]
    return tables


def _open(path: str, column_names: Sequence[str] | None) -> Table:
    if os.path.isdir(path) and has_images(Path(path)):
        return image_table(Path(path))
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
        dataset: a folder with a file, files or a folder of images for each split, a folder written
            by `save_to_disk`, CIFAR-10's batches in a folder or a .tar.gz, or a Hub id.
        subset: folder inside the folder, or configuration of the Hub data set; `dataset` may be
            that inner folder itself.
        split: which part is wanted.
        column_names: names of the columns of files without a header line.

    Raises:
        InputError: if there is nothing of that name, or it cannot be reached.
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
        return _from_hub(dataset, subset, split)
    if (folder / "dataset_dict.json").exists() or (folder / "dataset_info.json").exists():
        return _from_disk(folder, split)
    named = [file for file in sorted(folder.iterdir()) if _holds(file, split)]
    if not any(_holds(file, known) for file in folder.iterdir() for known in SPLIT_NAMES):
        batches = batches_of_folder(folder)
        if batches is not None:
            return batches.tables(split)
        raise InputError(
            f"{folder}: no file for any split; wanted names such as train.csv, "
            "validation-00000.parquet or test_text.txt."
        )
    _tell_several(folder, split, named)
    return [_open(str(file), column_names) for file in named]


def _tell_several(folder: Path, split: Split, files: Sequence[Path]) -> None:
    """Say which files are read for a split where these are no shards of one."""
    kinds = {_SHARD.sub("", _DATA_FILE.sub("", file.name)) for file in files}
    if len(kinds) > 1:
        names = ", ".join(file.name for file in files)
        log.warning(
            f"{folder}: the {split} rows are those of {names} together; to read one of them set "
            f"`{split}_file`."
        )


def _names_of(name: str, split: Split, found: Sequence[str]) -> list[str]:
    """The name of a split among those of a data set; [] where none of them is it."""
    names = [known for known in SPLIT_NAMES[split] if known in found]
    others = [other for other in found if not any(other in known for known in SPLIT_NAMES.values())]
    if split == "val" and not names and others:
        log.warning(
            f"{name}: no split has one of the names {', '.join(SPLIT_NAMES['val'])}; its splits "
            f"{', '.join(others)} are not read. To validate on one of them write it to a file and "
            "set `val_file`; else a part of the training rows is set aside."
        )
    return names[:1]


def _folder_of(dataset: str, subset: str | None) -> Path:
    """The folder of a subset: inside of the one given, or the one given where it has that name."""
    folder = Path(dataset)
    if not subset or not os.path.isdir(dataset):
        return folder
    is_itself = not (folder / subset).is_dir() and folder.resolve().name == subset
    return folder if is_itself else folder / subset


def _holds(file: Path, split: Split) -> bool:
    """Whether a file, or a folder of images, is named after a split."""
    stem = _DATA_FILE.sub("", file.name)
    if file.is_dir():
        return file.name.lower() in SPLIT_NAMES[split] and has_images(file)
    if stem == file.name or stem.endswith("_labels"):
        return False
    return re.split(r"[-_.]", stem)[0].lower() in SPLIT_NAMES[split]


def _from_disk(folder: Path, split: Split) -> list[Table]:
    from datasets import Dataset, load_from_disk

    try:
        loaded = load_from_disk(folder)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        shown = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{folder}: a file of this data set is missing or damaged ({shown}). "
            "Write it anew with `save_to_disk`."
        ) from error
    if isinstance(loaded, Dataset):
        loaded = {"train": loaded}
    names = _names_of(str(folder), split, list(loaded))
    return [table_from_dataset(f"{folder} [{name}]", loaded[name]) for name in names]


def _from_hub(dataset: str, subset: str | None, split: Split) -> list[Table]:
    from datasets import get_dataset_split_names, load_dataset

    try:
        found = get_dataset_split_names(dataset, subset)
        names = _names_of(dataset, split, found)
        loaded = [(name, load_dataset(dataset, subset, split=name)) for name in names]
    except (OSError, ValueError, RuntimeError) as error:  # network, unknown id, unknown subset
        if os.path.isdir(dataset):
            raise _no_subset(Path(dataset), str(subset)) from error
        shown = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"dataset {dataset!r}: neither a folder here nor to be had from the Hub ({shown}). "
            "Check the spelling and the connection; a gated set needs HF_TOKEN in the environment."
        ) from error
    return [table_from_dataset(f"{dataset} [{name}]", part) for name, part in loaded]


def _no_subset(folder: Path, subset: str) -> InputError:
    """A folder that has no such part, with what it has."""
    inner = sorted(path.name for path in folder.iterdir() if path.is_dir())
    found = f"it holds the folders {', '.join(map(repr, inner[:20]))}" if inner else "it holds none"
    return InputError(
        f"dataset {str(folder)!r}: there is no folder {subset!r} in it (setting `subset`); {found}."
        f"{nearest(subset, inner)} Set `subset: null` if the files lie in this folder itself."
    )
