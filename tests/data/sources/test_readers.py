import json
import struct
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lit_hf.data.sources.readers import open_file
from lit_hf.errors import InputError

HEAD = "id,text,label\n"


def _texts(path: Path, column: str = "text") -> list[object]:
    return [row[column] for _, row in open_file(str(path)).rows()]


def _write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_csv__words_for_nothing_stay_texts(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", HEAD + "1,NA,0\n2,null,1\n3,None,0\n4,nan,1\n")
    assert _texts(path) == ["NA", "null", "None", "nan"]


def test_csv__quotes_breaks_bom_and_emoji(tmp_path: Path) -> None:
    content = '\ufeffid,text,label\r\n1,"a, ""b""\nc",0\r\n2,🔥 café,1\n'
    path = _write(tmp_path, "a.csv", content)
    table = open_file(str(path))
    assert list(table.columns) == ["id", "text", "label"]
    assert _texts(path) == ['a, "b"\nc', "🔥 café"]
    assert [number for number, _ in table.rows()] == [2, 4]
    assert [number for number, _ in table.rows()] == [2, 4]  # a second reading starts anew


def test_csv__very_long_text(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", HEAD + "1," + "x" * 10**6 + ",0\n")
    assert len(str(_texts(path)[0])) == 10**6


def test_csv__no_header_line(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", "one,0\ntwo,1\n")
    rows = list(open_file(str(path), ["text", "label"]).rows())
    assert rows[0] == (1, {"text": "one", "label": "0"})


def test_tsv__with_and_without_quotes(tmp_path: Path) -> None:
    path = _write(
        tmp_path, "a.tsv", 'text\tlabel\n"He said ""hi"""\t0\n"quoted\t1\nsay "x" now\t0\n'
    )
    assert _texts(path) == ['He said "hi"', '"quoted', 'say "x" now']
    path = _write(tmp_path, "b.tsv", 'text\tlabel\n"two\nlines"\t0\n')
    assert _texts(path) == ["two\nlines"]


def test_json_kinds__keep_types(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "NA", "label": 0}]
    lines = _write(tmp_path, "a.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n\n")
    whole = _write(tmp_path, "a.json", json.dumps(rows))
    for path in (lines, whole):
        assert [row for _, row in open_file(str(path)).rows()] == rows


def test_parquet__rows_and_class_names(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    data = Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    data.to_parquet(tmp_path / "a.parquet")
    table = open_file(str(tmp_path / "a.parquet"))
    assert table.class_names == {"label": ["no", "yes"]}
    assert [row["text"] for _, row in table.rows()] == ["a", "b"]
    pq.write_table(pa.table({"text": ["c"]}), tmp_path / "b.parquet")
    assert _texts(tmp_path / "b.parquet") == ["c"]


def test_text__tweeteval_files(tmp_path: Path) -> None:
    _write(tmp_path, "train_text.txt", "one\u2028still one\ntwo\n")
    _write(tmp_path, "train_labels.txt", "1\n0\n")
    _write(tmp_path, "mapping.txt", "0\tanger\n1\tjoy\n")
    table = open_file(str(tmp_path / "train_text.txt"))
    assert table.class_names == {"label": ["anger", "joy"]}
    assert [row for _, row in table.rows()] == [
        {"text": "one\u2028still one", "label": "1"},
        {"text": "two", "label": "0"},
    ]
    _write(tmp_path, "train_labels.txt", "1\n")
    with pytest.raises(InputError, match=r"2 lines but .*train_labels.txt has 1"):
        list(open_file(str(tmp_path / "train_text.txt")).rows())
    _write(tmp_path, "alone.txt", "x\n")
    assert list(open_file(str(tmp_path / "alone.txt")).columns) == ["text"]


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("0\tanger\n1 joy\n", r"line 2: wanted a number, a tab and a name: \['1 joy'\]"),
        ("0\tanger\n1\t\n", r"line 2: wanted a number, a tab and a name"),
        ("0\tanger\n\nx\tjoy\n", r"line 3: wanted a number, a tab and a name"),
        ("0\tanger\n2\tjoy\n", r"line 2: number '2' is there twice or leaves a gap.*0 to 1"),
        ("0\tanger\n0\tjoy\n", r"line 2: number '0' is there twice"),
    ],
)
def test_text__broken_mapping(lines: str, wanted: str, tmp_path: Path) -> None:
    _write(tmp_path, "train_text.txt", "one\n")
    _write(tmp_path, "train_labels.txt", "1\n")
    _write(tmp_path, "mapping.txt", lines)
    with pytest.raises(InputError, match=rf"mapping\.txt, {wanted}"):
        open_file(str(tmp_path / "train_text.txt"))


def test_text__mapping_with_a_third_field(tmp_path: Path) -> None:
    _write(tmp_path, "train_text.txt", "one\n")
    _write(tmp_path, "train_labels.txt", "1\n")
    _write(tmp_path, "mapping.txt", "1\t😍\t_heart_eyes_\n0\t❤\t_red_heart_\n")
    names = open_file(str(tmp_path / "train_text.txt")).class_names
    assert names == {"label": ["_red_heart_", "_heart_eyes_"]}


def _parquet(path: Path, text: object, **columns: object) -> None:
    pq.write_table(pa.table({"text": text, **columns}), path)


def test_parquet__cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"

    def refused(wanted: str) -> None:
        with pytest.raises(InputError, match=rf"a\.parquet: {wanted}"):
            list(open_file(str(path)).rows())

    _parquet(path, ["a"], m=pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())))
    refused("`datasets` cannot read the types of its columns: Arrow type map")
    table = pa.table({"text": ["a"]})
    for metadata in ("{bad", b"\xff", '{"info": {"features": {"text": {"_type": "Nope"}}}}'):
        pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), path)
        refused("`datasets` cannot read the types")
    pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), path)
    refused("the column 'text' is there twice")
    sizes = pa.py_buffer(struct.pack("ii", 0, 2))
    _parquet(path, pa.StringArray.from_buffers(1, sizes, pa.py_buffer(b"\xff\xfe")))
    refused(r"text after row 0 is not UTF-8 \(bytes b'\\xff\\xfe'\)")
    _parquet(path, [str(number) * 50 for number in range(5000)])
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    path.write_bytes(content)
    refused("damaged after row 0: ")


BAD: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("a.csv", "", r"a\.csv: the file is empty"),
    "latin-1": (
        "a.csv",
        HEAD.encode() + b"1,caf\xe9,0\n",
        r"a\.csv, line 2: not UTF-8.*Save it as",
    ),
    "utf-16": ("a.csv", (HEAD + "1,x,0\n").encode("utf-16"), r"a\.csv: encoded as UTF-16"),
    "open quote": ("a.csv", HEAD + '1,ok,0\n2,"open,1\n3,x,0\n', r"a\.csv, line 3: broken quoting"),
    "stray quote": ("a.csv", HEAD + '1,"a"b,0\n', r"a\.csv, line 2: broken quoting"),
    "wide": (
        "a.csv",
        HEAD + "1,a, b,0\n",
        r"a\.csv, line 2: 4 fields, wanted 3 \(id, text, label\)",
    ),
    "narrow": ("a.csv", HEAD + "1,a\n", r"a\.csv, line 2: 2 fields, wanted 3"),
    "twice": ("a.csv", "text,text\na,b\n", r"a\.csv: the header names 'text' twice"),
    "lfs": (
        "a.csv",
        "version https://git-lfs.github.com/spec/v1\n",
        r"Git LFS pointer.*git lfs pull",
    ),
    "html": ("a.csv", "<!DOCTYPE html><html>", r"a web page"),
    "ending": ("a.xlsx", "PK", r"unknown ending '\.xlsx'; wanted one of \.csv"),
    "json line": (
        "a.jsonl",
        '{"text": "a"}\n{"text": \n',
        r"a\.jsonl, line 2: not JSON: Exp.* at character 10, near '\{\"text\": '\. One object",
    ),
    "json twice": (
        "a.jsonl",
        '{"text": "a", "text": "b"}\n',
        r"a\.jsonl, line 1: 'text' stands twice",
    ),
    "json list": ("a.jsonl", "[1]\n", r"a\.jsonl, line 1: a list, wanted an object"),
    "json": ("a.json", '{"text": "a"}', r"a\.json: wanted a list of objects"),
    "parquet": ("a.parquet", b"PAR1 cut", r"a\.parquet: not a whole Parquet file"),
    "deep line": ("a.jsonl", "[" * 10**5, r"a\.jsonl, line 1: brackets are nested too deeply"),
    "deep": ("a.json", "[" * 10**5, r"a\.json: brackets are nested too deeply"),
    "digits": ("a.jsonl", '{"a": %s}' % ("1" * 5000), r"line 1: a number has more than 4300"),
}


@pytest.mark.parametrize("case", BAD)
def test_open_file__bad_file_is_one_clear_error(case: str, tmp_path: Path) -> None:
    name, content, wanted = BAD[case]
    path = _write(tmp_path, name, content)
    with pytest.raises(InputError, match=wanted):
        list(open_file(str(path)).rows())


def test_open_file__missing_and_folder(tmp_path: Path) -> None:
    _write(tmp_path, "train.csv", HEAD)
    with pytest.raises(InputError, match=r"no such file. Did you mean 'train.csv'\?"):
        open_file(str(tmp_path / "trian.csv"))
    with pytest.raises(InputError, match="a folder, a file is wanted"):
        open_file(str(tmp_path))


@pytest.mark.parametrize("change", [lambda text: text + "x", lambda text: text.replace("a", "b")])
def test_stamp__changes_with_the_content(change: Callable[[str], str], tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", HEAD + "1,a,0\n")
    before = open_file(str(path)).stamp
    assert open_file(str(path)).stamp == before
    _write(tmp_path, "a.csv", change(HEAD + "1,a,0\n"))
    assert open_file(str(path)).stamp != before


def test_real_files__rows_and_columns(real_data: Path) -> None:
    tweets = open_file(str(real_data / "disaster_tweets" / "train.csv"))
    assert sum(1 for _ in tweets.rows()) == 7613
    emotions = open_file(str(real_data / "goemotions" / "train.tsv"), ["text", "labels", "id"])
    rows = [row for _, row in emotions.rows()]
    assert len(rows) == 43410
    assert rows[123]["text"] == 'Three words, no subtlety. "Dude. Stop. Seriously." '


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.tsv", "\t")])
def test_column_names__of_a_file_that_has_a_header_are_refused(
    tmp_path: Path, name: str, mark: str
) -> None:
    path = tmp_path / name
    path.write_text(f"text{mark}label\nfire{mark}1\n")
    with pytest.raises(InputError, match=r"line 1: this is a header line.*leave `column_names`"):
        open_file(str(path), ["text", "label"])
    path.write_text(f"fire{mark}1\ntext{mark}label\n")  # a row, if a strange one
    assert len(list(open_file(str(path), ["text", "label"]).rows())) == 2


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_columns__of_a_very_wide_table_are_counted_once(suffix: str, tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(100_000)]  # pairwise it would take minutes
    line = "\t".join(names) if suffix == "tsv" else ",".join(names)
    cells = {"jsonl": json.dumps(dict.fromkeys(names, 1))}.get(suffix, f"{line}\n{line}")
    path = _write(tmp_path, f"a.{suffix}", f"{cells}\n")
    assert len(open_file(str(path)).columns) == len(names)
    twice = {"jsonl": cells[:-1] + ', "c99999": 1}'}.get(suffix, line.replace("c0", "c99999", 1))
    with pytest.raises(InputError, match=r"'c99999'.*twice"):
        open_file(str(_write(tmp_path, f"b.{suffix}", f"{twice}\n")))


def test_parquet__is_read_a_few_rows_at_once(tmp_path: Path) -> None:
    good = pa.array([str(number) for number in range(1000)])
    bad = pa.StringArray.from_buffers(
        1, pa.py_buffer(struct.pack("ii", 0, 1)), pa.py_buffer(b"\xff")
    )
    path = tmp_path / "a.parquet"
    _parquet(path, pa.concat_arrays([good, bad]))
    rows = open_file(str(path)).rows()
    assert [next(rows)[0] for _ in range(1000)] == list(range(1, 1001))
    with pytest.raises(InputError, match="text after row 1000 is not UTF-8"):
        next(rows)
