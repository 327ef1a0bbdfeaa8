import gzip
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from lit_hf.data.sources.resolve import Split, tables_from_dataset, tables_from_files
from lit_hf.errors import InputError
from tests.images import png, write_folder


def _csv(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"text,label\n{text},0\n")


def test_files__list_and_pattern(tmp_path: Path) -> None:
    for name in ("part-1", "part-2"):
        _csv(tmp_path / f"{name}.csv", name)
    tables = tables_from_files(str(tmp_path / "part-*.csv"))
    texts = [row["text"] for table in tables for _, row in table.rows()]
    assert texts == ["part-1", "part-2"]
    with pytest.raises(InputError, match="no such file"):
        tables_from_files(str(tmp_path / "none-*.csv"))


def test_folder__a_file_for_each_split(tmp_path: Path) -> None:
    for name in ("train-00000", "train-00001", "dev", "test_text", "test_labels"):
        _csv(tmp_path / "sub" / f"{name}.csv", name)
    (tmp_path / "sub" / "readme.md").write_text("x")

    def found(split: Split, subset: str | None = "sub") -> list[str]:
        tables = tables_from_dataset(str(tmp_path), subset, split)
        return [Path(table.name).name for table in tables]

    assert found("train") == ["train-00000.csv", "train-00001.csv"]
    assert found("val") == ["dev.csv"]
    assert found("test") == ["test_text.csv"]
    assert found("predict") == []
    with pytest.raises(InputError, match="no file for any split"):
        found("train", None)


def test_folder__save_to_disk(tmp_path: Path) -> None:
    data = Dataset.from_dict({"text": ["a"], "label": [0]})
    DatasetDict({"train": data, "validation": data}).save_to_disk(tmp_path / "d")
    (table,) = tables_from_dataset(str(tmp_path / "d"), None, "val")
    assert list(table.rows()) == [(1, {"text": "a", "label": 0})]
    assert tables_from_dataset(str(tmp_path / "d"), None, "test") == []


def test_hub__out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'no/such-set'.*Check the spelling and the connection"):
        tables_from_dataset("no/such-set", None, "train")


def test_dataset__is_a_file(tmp_path: Path) -> None:
    _csv(tmp_path / "a.csv", "x")
    with pytest.raises(InputError, match=r"a\.csv': this is a file.*For a file use `train_file`"):
        tables_from_dataset(str(tmp_path / "a.csv"), None, "train")


@pytest.mark.parametrize("ending", ["zip", "tar", "TAR.XZ", "7z"])
def test_archives__are_to_be_unpacked(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"x")
    with pytest.raises(InputError, match="this is an archive; unpack it first"):
        tables_from_dataset(str(path), None, "train")
    with pytest.raises(InputError, match="this is an archive; unpack it first"):
        tables_from_files(str(path))


def test_names__too_long_for_a_file() -> None:
    with pytest.raises(InputError, match="cannot be read: File name too long"):
        tables_from_files("a" * 300 + ".csv")
    with pytest.raises(InputError, match="neither a folder here nor to be had from the Hub"):
        tables_from_dataset("a" * 300, None, "train")


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"{bad"])
def test_folder__damaged_save_to_disk(name: str, content: bytes | None, tmp_path: Path) -> None:
    Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "d")
    (tmp_path / "d" / name).unlink()
    if content is not None:
        (tmp_path / "d" / name).write_bytes(content)
    (tmp_path / "d" / "dataset_info.json").touch()  # by this file the folder is known
    with pytest.raises(InputError, match=r"d: a file of this data set is missing or damaged \("):
        tables_from_dataset(str(tmp_path / "d"), None, "train")


def test_folder__of_the_subset_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _csv(tmp_path / "emotion" / "train.csv", "x")
    for given in (tmp_path, tmp_path / "emotion"):
        (table,) = tables_from_dataset(str(given), "emotion", "train")
        assert table.name == str(tmp_path / "emotion" / "train.csv")
    monkeypatch.chdir(tmp_path / "emotion")
    assert len(tables_from_dataset(".", "emotion", "train")) == 1


def test_folder__without_the_subset_says_what_it_has(tmp_path: Path) -> None:
    _csv(tmp_path / "irony" / "train.csv", "x")
    with pytest.raises(InputError, match=r"no folder 'irnoy' in it .*'irony'\. Did you mean 'iro"):
        tables_from_dataset(str(tmp_path), "irnoy", "train")
    with pytest.raises(InputError, match=r"it holds none\. Set `subset: null` if the files lie"):
        tables_from_dataset(str(tmp_path / "irony"), "emotion", "train")


def test_folder__reads_what_lies_in_it_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`datasets` would read what its README names, also elsewhere and by URL."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "lit_hf.data.sources.resolve._from_hub", lambda *given: pytest.fail(str(given))
    )
    home = tmp_path / "set"
    _csv(home / "train.csv", "y")
    (home / "set.py").write_text("open('ran', 'w')")
    (home / "README.md").write_text(
        "---\nconfigs:\n- config_name: other\n  data_files: https://localhost/train.csv\n---\n"
    )
    with pytest.raises(InputError, match="there is no folder 'other' in it"):
        tables_from_dataset(str(home), "other", "train")
    (table,) = tables_from_dataset(str(home), None, "train")
    assert [row["text"] for _, row in table.rows()] == ["y"]
    assert not (tmp_path / "ran").exists()


def test_image__in_place_of_a_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.PNG").write_bytes(png(0))
    with pytest.raises(InputError, match=r"a.PNG: this is an image; wanted is a folder of images"):
        tables_from_files(str(tmp_path / "*.PNG"))


def test_splits__of_other_names_are_told_where_none_is_for_validation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A part of the training rows would be set aside in silence."""
    rows = Dataset.from_dict({"text": ["a", "b"]})
    DatasetDict({"train": rows, "heldout": rows, "eval": rows}).save_to_disk(tmp_path / "set")
    assert tables_from_dataset(str(tmp_path / "set"), None, "val") == []
    assert "Not read for them: heldout, eval" in caplog.text
    caplog.clear()
    DatasetDict({"train": rows, "Dev": rows, "extra": rows}).save_to_disk(tmp_path / "other")
    assert len(tables_from_dataset(str(tmp_path / "other"), None, "val")) == 1
    assert not caplog.records


def test_splits__of_several_validations_are_refused(tmp_path: Path) -> None:
    """As those of MNLI."""
    rows = Dataset.from_dict({"text": ["a", "b"]})
    names = ["train", "validation_matched", "validation_mismatched"]
    DatasetDict(dict.fromkeys(names, rows)).save_to_disk(tmp_path / "set")
    with pytest.raises(InputError, match=r"the val rows: validation_matched, .*set `val_file`"):
        tables_from_dataset(str(tmp_path / "set"), None, "val")
    assert len(tables_from_dataset(str(tmp_path / "set"), None, "train")) == 1
    DatasetDict(dict.fromkeys(names[:2], rows)).save_to_disk(tmp_path / "one")
    (table,) = tables_from_dataset(str(tmp_path / "one"), None, "val")
    assert table.name.endswith("[validation_matched]")


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev", "Dev", "my_dev", "dev2"])
def test_folder__validation_by_any_usual_name(name: str, tmp_path: Path) -> None:
    """A file of the name, files in a folder of the name, or images in it."""
    _csv(tmp_path / "a" / "train.csv", "x")
    _csv(tmp_path / "a" / f"{name}.csv", "y")
    _csv(tmp_path / "b" / "train.csv", "x")
    (tmp_path / "b" / name).mkdir()
    _csv(tmp_path / "b" / name / "part-0.csv", "y")
    _csv(tmp_path / "b" / name / "part-1.csv", "z")
    write_folder(tmp_path / "c" / name, 2)
    (tmp_path / "d").mkdir()
    Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "d" / name)
    counts = [len(tables_from_dataset(str(tmp_path / part), None, "val")) for part in "abcd"]
    assert counts == [1, 2, 1, 1]


def test_folder__evaluation_rows_are_test_rows_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As `datasets` has it; a file that cannot be read is told, too."""
    for name in ("train", "eval"):
        _csv(tmp_path / f"{name}.csv", name)
    (tmp_path / "dev.csv.gz").write_bytes(b"x")
    assert len(tables_from_dataset(str(tmp_path), None, "test")) == 1
    assert not caplog.records
    assert tables_from_dataset(str(tmp_path), None, "val") == []
    assert "Not read for them: dev.csv.gz, eval.csv" in caplog.text
    _csv(tmp_path / "test.csv", "test")
    (table,) = tables_from_dataset(str(tmp_path), None, "test")
    assert table.name.endswith("test.csv")


@pytest.mark.parametrize("beside", [(), ("test.csv",)])
def test_folder__a_packed_file_of_a_split_is_named(beside: tuple[str, ...], tmp_path: Path) -> None:
    for name in beside:
        (tmp_path / name).write_text("text,label\na,0\n")
    (tmp_path / "train.csv.gz").write_bytes(gzip.compress(b"text,label\na,0\n"))
    with pytest.raises(InputError, match=r"train\.csv\.gz: the content is compressed \(gzip\)"):
        tables_from_dataset(str(tmp_path), None, "train")
