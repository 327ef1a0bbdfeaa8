import gzip
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from lit_hf.data.sources.resolve import Split, tables_from_dataset, tables_from_files
from lit_hf.errors import InputError
from tests.images import write_folder


def _csv(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(f"text,label\n{text},0\n")


def _names(folder: Path, split: Split, subset: str | None = None) -> list[str]:
    tables = tables_from_dataset(str(folder), subset, split)
    return [Path(table.name).name for table in tables]


def test_files__list_and_pattern(tmp_path: Path) -> None:
    for name in ("part-1", "part-2"):
        _csv(tmp_path / f"{name}.csv", name)
    tables = tables_from_files(str(tmp_path / "part-*.csv"))
    assert [row["text"] for table in tables for _, row in table.rows()] == ["part-1", "part-2"]
    with pytest.raises(InputError, match="no such file"):
        tables_from_files(str(tmp_path / "none-*.csv"))


def test_folder__a_file_for_each_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train-00000", "train-00001", "dev", "test_text", "test_labels", ".train-9"):
        _csv(tmp_path / "sub" / f"{name}.csv", name)
    (tmp_path / "sub" / "readme.md").write_text("x")
    for place, subset in ((tmp_path, "sub"), (tmp_path / "sub", "sub"), (tmp_path / "sub", None)):
        assert _names(place, "train", subset) == ["train-00000.csv", "train-00001.csv"]
        assert _names(place, "val", subset) == ["dev.csv"]
        assert _names(place, "test", subset) == ["test_text.csv"]
        assert _names(place, "predict", subset) == []
    with pytest.raises(InputError, match="no file for any split"):
        _names(tmp_path, "train")
    monkeypatch.setattr(
        "lit_hf.data.sources.resolve._from_hub", lambda *given: pytest.fail(str(given))
    )
    with pytest.raises(InputError, match=r"no folder 'sbu' in it .*'sub'\]\. Did you mean 'sub'"):
        _names(tmp_path, "train", "sbu")


@pytest.mark.parametrize("name", ["validation", "valid", "Dev", "my_dev"])
def test_folder__validation_by_any_usual_name(name: str, tmp_path: Path) -> None:
    """A file of the name, files in a folder of the name, images in it, or saved rows."""
    _csv(tmp_path / "a" / f"{name}.csv", "y")
    for number in (0, 1):
        _csv(tmp_path / "b" / name / f"part-{number}.csv", "y")
    write_folder(tmp_path / "c" / name, 2)
    Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "d" / name)
    assert [len(_names(tmp_path / part, "val")) for part in "abcd"] == [1, 2, 1, 1]


def test_folder__of_save_to_disk(tmp_path: Path) -> None:
    rows = Dataset.from_dict({"text": ["a"], "label": [0]})
    names = ["train", "validation_matched", "validation_mismatched"]  # as those of MNLI
    DatasetDict(dict.fromkeys(names, rows)).save_to_disk(tmp_path / "d")
    (table,) = tables_from_dataset(str(tmp_path / "d"), None, "train")
    assert list(table.rows()) == [(1, {"text": "a", "label": 0})]
    assert _names(tmp_path / "d", "test") == []
    with pytest.raises(InputError, match=r"the val rows: validation_matched, .*`val_file`"):
        _names(tmp_path / "d", "val")
    (tmp_path / "d" / "train" / "state.json").write_bytes(b"{bad")
    with pytest.raises(InputError, match=r"d': a file is missing or corrupt"):
        _names(tmp_path / "d", "train")


def test_dataset__that_is_not_to_be_had(tmp_path: Path) -> None:
    for name in ("no/such-set", "a" * 300):
        with pytest.raises(InputError, match=f"'{name}': not a folder here, nor .* the Hub"):
            tables_from_dataset(name, None, "train")
    for name in ("a.csv", "a.zip", "a.7z"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InputError, match=r"this is a file.*`train_file`.*unpack archives"):
            tables_from_dataset(str(tmp_path / name), None, "train")


@pytest.mark.parametrize("split", ["train", "val"])
def test_folder__a_compressed_file_of_a_split_is_named(split: Split, tmp_path: Path) -> None:
    _csv(tmp_path / "test.csv", "x")
    (tmp_path / f"{split}.csv.gz").write_bytes(gzip.compress(b"text,label\na,0\n"))
    with pytest.raises(InputError, match=rf"{split}\.csv\.gz: this is compressed \(gzip\)"):
        _names(tmp_path, split)
