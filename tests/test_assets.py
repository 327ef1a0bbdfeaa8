"""The bundled tweets: enough of them, of both classes, none twice, none in both files."""

import csv
from pathlib import Path

import pytest

TWEETS = Path(__file__).parent.parent / "lit_hf" / "assets" / "tweets"


def _rows(name: str) -> list[dict[str, str]]:
    with (TWEETS / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))


@pytest.mark.parametrize(("name", "count"), [("train.csv", 300), ("test.csv", 60)])
def test_tweets__count_columns_and_classes(name: str, count: int) -> None:
    rows = _rows(name)
    assert len(rows) == count
    assert list(rows[0]) == ["id", "keyword", "location", "text", "target"]
    assert 0.4 < sum(row["target"] == "1" for row in rows) / count < 0.55
    assert {row["target"] for row in rows} == {"0", "1"}
    for row in rows:
        assert 10 < len(row["text"]) <= 280
        assert row["keyword"].lower() in row["text"].lower()


def test_tweets__none_twice() -> None:
    rows = _rows("train.csv") + _rows("test.csv")
    assert len({row["text"].lower() for row in rows}) == len(rows)
    assert len({row["id"] for row in rows}) == len(rows)
