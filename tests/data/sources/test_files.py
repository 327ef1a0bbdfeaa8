import json
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from lit_hf.data.sources.files import open_file
from lit_hf.data.sources.table import Row
from lit_hf.errors import InputError


def _rows(path: Path) -> list[Row]:
    return [row for _, row in open_file(str(path)).rows()]


def test_json_kinds__keep_types(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "NA", "label": None}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert _rows(tmp_path / "a.jsonl") == _rows(tmp_path / "a.json") == rows


def test_parquet__rows_and_class_names(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    data = Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    data.to_parquet(tmp_path / "a.parquet")
    assert open_file(str(tmp_path / "a.parquet")).class_names == {"label": ["no", "yes"]}
    assert _rows(tmp_path / "a.parquet") == list(data)


def test_parquet__that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 cut")
    with pytest.raises(InputError, match="not valid Parquet"):
        open_file(str(path))
    good = pa.array([str(number) for number in range(1000)])
    sizes, bad = pa.py_buffer(struct.pack("ii", 0, 1)), pa.py_buffer(b"\xff")
    texts = pa.concat_arrays([good, pa.StringArray.from_buffers(1, sizes, bad)])
    pq.write_table(pa.table({"text": texts}), path)
    rows = open_file(str(path)).rows()
    assert [next(rows)[0] for _ in range(1000)] == list(range(1, 1001))
    with pytest.raises(InputError, match=r"corrupt after row 1000: .*utf-8"):
        next(rows)
    pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), path)
    with pytest.raises(InputError, match="'text' is there twice"):
        open_file(str(path))


def test_text__of_tweeteval(tmp_path: Path) -> None:
    path = tmp_path / "train_text.txt"
    path.write_text("one\ntwo\n")
    assert _rows(path) == [{"text": "one"}, {"text": "two"}]
    (tmp_path / "train_labels.txt").write_text("1\n0\n")
    (tmp_path / "mapping.txt").write_text("1\t😍\t_heart_\n0\tanger\n")
    assert _rows(path) == [{"text": "one", "label": "1"}, {"text": "two", "label": "0"}]
    assert open_file(str(path)).class_names == {"label": ["anger", "_heart_"]}
    for lines in ("0\tanger\n1 joy\n", "0\ta\n2\tb\n", "0\ta\n0\tb\n", "x\ta\n"):
        (tmp_path / "mapping.txt").write_text(lines)
        with pytest.raises(InputError, match=r"mapping\.txt: expected lines of a number, a tab"):
            open_file(str(path))
    (tmp_path / "mapping.txt").unlink()
    (tmp_path / "train_labels.txt").write_text("1\n")
    with pytest.raises(InputError, match=r"2 lines but .*train_labels.txt has 1"):
        _rows(path)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": \n', r"line 2: not JSON: .*near.*one object a line"),
        ("a.jsonl", "[1]\n", "line 1: a list, expected an object"),
        ("a.json", '{"text": "a"}', "expected a list of objects"),
        ("a.json", '{"text": "a"}\n{"text": "b"}', r"Name it \.jsonl"),
        ("a.xlsx", "x", r"unknown ending '\.xlsx'; expected one of \.csv"),
    ],
)
def test_file__that_is_bad_is_one_clear_error(
    name: str, content: str, found: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name}.*{found}"):
        _rows(tmp_path / name)


def test_real_files__rows_and_columns(real_data: Path) -> None:
    assert len(_rows(real_data / "disaster_tweets" / "train.csv")) == 7613
    emotions = open_file(str(real_data / "goemotions" / "train.tsv"), ["text", "labels", "id"])
    rows = [row for _, row in emotions.rows()]
    assert len(rows) == 43410
    assert rows[123]["text"] == 'Three words, no subtlety. "Dude. Stop. Seriously." '
