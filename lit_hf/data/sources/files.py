"""File formats: CSV, TSV, JSONL, JSON, Parquet and plain text, each opened as a `Table`.

A reader knows formats and nothing of tasks. It checks what a parser would pass over in silence.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lit_hf.data.sources.delimited import open_csv, open_tsv
from lit_hf.data.sources.file_type import check_file, content_stamp, lines_of
from lit_hf.data.sources.squad import is_squad, squad_rows
from lit_hf.data.sources.table import (
    ROWS_READ,
    Row,
    Table,
    arrow_rows,
    check_names,
    class_names,
    columns_of,
    table_from_rows,
)
from lit_hf.errors import InputError


def open_file(path: str, column_names: Sequence[str] | None = None) -> Table:
    """Open a file by its ending: .csv .tsv .jsonl .json .parquet, or .txt with a text a line.

    Args:
        path: the file.
        column_names: names of the columns of a CSV or TSV file without a header line.

    Raises:
        InputError: if the file is missing, unreadable, empty, of another format or corrupt.
    """
    file = Path(path)
    openers: dict[str, Callable[[Path, Sequence[str] | None], Table]] = {
        ".csv": open_csv,
        ".json": _open_json,
        ".jsonl": _open_jsonl,
        ".parquet": _open_parquet,
        ".tsv": open_tsv,
        ".txt": _open_text,
    }
    suffix = file.suffix.lower()
    check_file(file)
    if suffix not in openers:
        known = ", ".join(openers)
        raise InputError(f"{file}: unknown ending {suffix!r}; expected one of {known}.")
    return openers[suffix](file, column_names)


def _open_jsonl(path: Path, column_names: Sequence[str] | None) -> Table:
    rows = partial(_jsonl_rows, path)
    return Table(str(path), "line", columns_of(rows()), content_stamp(path), rows)


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in lines_of(path):
        if line.strip():
            where = f"{path}, line {number}"
            row = _from_json(line.rstrip("\r\n"), where, "Write one object a line")
            if not isinstance(row, dict):
                raise InputError(f"{where}: a {type(row).__name__}, expected an object of columns.")
            yield number, row


def _open_json(path: Path, column_names: Sequence[str] | None) -> Table:
    text = "".join(line for _, line in lines_of(path))
    content = _from_json(text, str(path), "One object a line? Name it .jsonl")
    if isinstance(content, dict) and is_squad(content):
        rows = squad_rows(path, content)
        return table_from_rows(str(path), rows, content_stamp(path), unit="question")
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise InputError(f"{path}: expected a list of objects, one for each row.")
    return table_from_rows(str(path), content, content_stamp(path))


def _from_json(text: str, where: str, hint: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        near = text[max(0, error.pos - 20) : error.pos + 20]
        raise InputError(f"{where}: not JSON: {error}, near {near!r}. {hint}.") from None


def _open_parquet(path: Path, column_names: Sequence[str] | None) -> Table:
    import pyarrow.parquet as pq
    from datasets import Features

    try:
        schema = pq.read_schema(path)
        names = class_names(Features.from_arrow_schema(schema))
    except Exception as error:  # whatever a strange file makes of its readers
        raise InputError(f"{path}: not valid Parquet, or of other types: {error}.") from None
    check_names(str(path), schema.names)
    rows = partial(_parquet_rows, path)
    return Table(str(path), "row", schema.names, content_stamp(path), rows, names)


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row]]:
    import pyarrow.parquet as pq

    start = 1
    try:
        for batch in pq.ParquetFile(path).iter_batches(ROWS_READ):
            yield from enumerate(arrow_rows(batch), start=start)
            start += batch.num_rows
    except Exception as error:  # as above; also text that is not UTF-8
        raise InputError(f"{path}: corrupt after row {start - 1}: {error}.") from None


def _open_text(path: Path, column_names: Sequence[str] | None) -> Table:
    """A text a line; beside `X_text.txt` stand `X_labels.txt` and `mapping.txt` (TweetEval)."""
    labels = path.with_name(path.name.replace("_text.txt", "_labels.txt"))
    mapping = path.with_name("mapping.txt")
    if labels == path or not labels.exists():
        stamp, rows = content_stamp(path), partial(_text_rows, path, None)
        return Table(str(path), "line", ["text"], stamp, rows)
    names = {"label": _names_of_mapping(mapping)} if mapping.exists() else {}
    stamp = content_stamp(*[path, labels, mapping][: 2 + len(names)])
    rows = partial(_text_rows, path, labels)
    return Table(str(path), "line", ["text", "label"], stamp, rows, names)


def _text_rows(path: Path, labels: Path | None) -> Iterator[tuple[int, Row]]:
    texts = [line.rstrip("\r\n") for _, line in lines_of(path)]
    if labels is None:
        yield from ((number, {"text": text}) for number, text in enumerate(texts, start=1))
        return
    values = [line.strip() for _, line in lines_of(labels)]
    if len(values) != len(texts):
        found = f"{path} has {len(texts)} lines but {labels} has {len(values)}"
        raise InputError(f"{found}; every text needs its label on the same line.")
    for number, (text, label) in enumerate(zip(texts, values, strict=True), start=1):
        yield number, {"text": text, "label": label}


def _names_of_mapping(path: Path) -> list[str]:
    """Names of the classes in lines of a number, a tab and a name; a third field is a longer name.

    Raises:
        InputError: if the numbers are not each of 0 to C-1 once.
    """
    lines = [line.strip().split("\t") for _, line in lines_of(path) if line.strip()]
    names = {cells[0]: cells[-1].strip() for cells in lines if len(cells) > 1}
    if names.keys() != set(map(str, range(len(lines)))):
        form = f"a number, a tab and a name, each number of 0 to {len(lines) - 1} once"
        raise InputError(f"{path}: expected lines of {form}.")
    return [names[str(number)] for number in range(len(lines))]
