from pathlib import Path
from typing import Any

import pytest

from lit_hf import InputError, TextClassificationDataModule
from lit_hf.data.sources.headers import is_header
from lit_hf.data.sources.readers import open_file

NAMES = ["text", "label"]


def _write(path: Path, *lines: str) -> str:
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


@pytest.mark.parametrize("header", ["text,label", "Text, LABEL", "text,sentiment", "tweet,Label"])
@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.tsv", "\t")])
def test_names__for_a_file_that_has_a_header_line(
    header: str, name: str, mark: str, tmp_path: Path
) -> None:
    lines = [line.replace(",", mark) for line in (header, "fire,1", "good,0")]
    path = _write(tmp_path / name, *lines)
    with pytest.raises(InputError, match="line 1: this is a header line"):
        open_file(path, NAMES)
    assert len(list(open_file(path).rows())) == 2


def test_names__that_are_classes_are_no_header_line(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", "win money,spam", "hello,ham", "buy now,spam")
    assert len(list(open_file(path, ["text", "spam"]).rows())) == 3
    assert len(list(open_file(_write(tmp_path / "a.csv", "fire,1"), NAMES).rows())) == 1


def test_names__in_another_order_make_other_rows(tmp_path: Path) -> None:
    """Prepared rows are kept by the stamp: those of swapped columns would come back."""
    path = _write(tmp_path / "a.csv", "1,fire", "0,good")
    assert open_file(path, NAMES).stamp != open_file(path, NAMES[::-1]).stamp


def test_header__whose_names_are_none_of_ours_is_no_class(tiny_model: str, tmp_path: Path) -> None:
    """`column_names` of a file that has a header line: "sentiment" would be a class."""
    rows = [f"text {number},{('good', 'bad')[number % 2]}" for number in range(8)]
    files = [str(tmp_path / name) for name in ("a.csv", "b.csv")]
    for file, part in zip(files, (rows[:4], rows[4:]), strict=True):
        Path(file).write_text("\n".join(["tweet,sentiment", *part, ""]))
    settings: dict[str, Any] = {"column_names": ["text", "label"], "val_fraction": 0}
    for train in (files[0], files):
        data = TextClassificationDataModule(tiny_model, train_file=train, **settings)
        with pytest.raises(InputError, match="class 'sentiment' stands in the first line only"):
            data.setup("fit")
    settings["label_names"] = ["good", "bad", "sentiment"]
    TextClassificationDataModule(tiny_model, train_file=files, **settings).setup("fit")
    Path(files[0]).write_text("\n".join([*rows, "text,rare", ""]))  # a rare class further below
    data = TextClassificationDataModule(
        tiny_model, train_file=files[0], column_names=["text", "label"]
    )
    assert data.label_names == ["bad", "good", "rare"]


def test_columns__of_a_file_without_header_line_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a fine day,1\nrain,0\n")
    with pytest.raises(InputError, match=r"first line is read as the names.*may be a row"):
        open_file(str(tmp_path / "a.csv")).require("text", "text_column")
    (tmp_path / "a.csv").write_text("txet,target\nrain,0\n")
    with pytest.raises(InputError, match=r"found 'txet', 'target'\. Did you mean 'txet'\?"):
        open_file(str(tmp_path / "a.csv")).require("text", "text_column")


@pytest.mark.parametrize("header", ["text,label", '"text","label"', "label,text", "LABEL,Text"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_header__of_a_second_file_is_no_row(
    header: str,
    mark: str,
    ending: str,
    tiny_model: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Files put together by `cat`: those of Excel begin with a byte order mark."""
    rows = [f"text {number},{('good', 'bad')[number % 2]}" for number in range(8)]
    lines = [f"{mark}text,label", *rows, mark + header, *rows]
    if ending == "tsv":
        lines = [line.replace(",", "\t") for line in lines]
    path = _write(tmp_path / f"a.{ending}", *lines)
    settings: dict[str, Any] = {"train_file": path, "val_fraction": 0}
    with pytest.raises(InputError, match="repeats the names of the columns"):
        TextClassificationDataModule(tiny_model, **settings).setup("fit")
    data = TextClassificationDataModule(tiny_model, **settings, on_bad_row="skip")
    assert (data.label_names, len(data.rows("train"))) == (["bad", "good"], 16)
    TextClassificationDataModule(tiny_model, predict_file=path).setup("predict")
    assert "to predict: 1 row: the row repeats the names" in caplog.text


def test_row__that_only_has_some_of_the_names_is_one() -> None:
    assert not is_header({"text": "label", "label": "label"})
    assert not is_header({"text": "text", "label": "1"})
    assert not is_header({"text": ["label"], "label": "text"})


def test_header__of_other_names_in_a_file_put_together_is_no_class(
    tiny_model: str, tmp_path: Path
) -> None:
    rows = [f"text {number},{('good', 'bad')[number % 2]}" for number in range(8)]
    path = str(tmp_path / "a.csv")
    settings: dict[str, Any] = {"train_file": path, "column_names": NAMES, "val_fraction": 0}
    _write(tmp_path / "a.csv", "tweet,class", *rows, "tweet,class", *rows)
    with pytest.raises(InputError, match="class 'class' stands in the first line only"):
        TextClassificationDataModule(tiny_model, **settings).setup("fit")
    _write(tmp_path / "a.csv", "one,rare", *rows, "another,rare")
    assert "rare" in (TextClassificationDataModule(tiny_model, **settings).label_names or [])


def test_header__of_other_names_above_numbers_is_no_row(tmp_path: Path) -> None:
    rows = [f"text {number},{number}" for number in range(6)]
    with pytest.raises(InputError, match="line 1: this is a header line, tweet, number"):
        open_file(_write(tmp_path / "a.csv", "tweet,number", *rows), ["text", "id"])
    for lines in (rows, ["tweet,number", *rows[:3]], ["tweet,", *rows], ["tweet,x", *rows, "a,b"]):
        open_file(_write(tmp_path / "a.csv", *lines), ["text", "id"])
