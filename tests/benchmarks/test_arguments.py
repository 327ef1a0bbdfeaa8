"""Mistakes in the arguments of benchmarks are told in one line, before anything is timed."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.arguments import add_results, count, existing_file, model_name, parser_of
from benchmarks.record import record
from benchmarks.speed.plot import ratios
from benchmarks.speed.work import write_rows


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (existing_file, "/nowhere/rows.csv", "there is no file /nowhere/rows.csv"),
        (existing_file, "/", "/ is a folder"),
        (model_name, "/nowhere", "there is no folder /nowhere"),
        (model_name, "./nowhere", "there is no folder"),
        *((count, text, "wanted is a number from 1") for text in ("0", "-3", "1.5", "many")),
    ],
)
def test_arguments__that_cannot_be(kind: Callable[[str], object], text: str, told: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=told):
        kind(text)


def test_arguments__that_can_be(tmp_path: Path) -> None:
    (file := tmp_path / "rows.csv").touch()
    assert existing_file(str(file)) == file
    assert [model_name(text) for text in (str(tmp_path), "google/vit")] == [
        str(tmp_path),
        "google/vit",
    ]
    assert count("12") == 12


def test_results__go_where_they_are_wanted(tmp_path: Path) -> None:
    parser = parser_of("benchmarks.mine", "What it does,\n  line by line.")
    add_results(parser)
    assert "usage: python -m benchmarks.mine" in parser.format_help()
    assert "What it does,\n  line by line." in parser.format_help()
    options = parser.parse_args(["--results", str(tmp_path / "new" / "here")])
    path = record("mine", {"median": 3}, folder=options.results)
    assert path == tmp_path / "new" / "here" / "mine.json"
    assert json.loads(path.read_text())["median"] == 3


@pytest.mark.parametrize(
    ("work", "content"),
    [
        ("tweets", "id,text\n1,fire\n"),  # as Kaggle's test.csv
        ("tweets", '{"data": []}'),
        ("squad", "id,text,target\n1,fire,1\n"),
        ("squad", '{"rows": []}'),
        ("squad", "[1, 2]"),
        ("images", "id,text,target\n1,fire,1\n"),
    ],
)
def test_rows__of_another_work_are_told(work: str, content: str, tmp_path: Path) -> None:
    (source := tmp_path / "source").write_text(content)
    with pytest.raises(SystemExit, match=f"source holds no {work} .*wanted are Kaggle's train.csv"):
        write_rows(work, source, tmp_path, 1, 1)


def test_plot__of_what_was_not_timed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"`python -m benchmarks\.speed tweets …` writes it"):
        ratios(tmp_path, "abacus")
