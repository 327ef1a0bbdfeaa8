"""File formats: CSV, TSV, JSONL, JSON, Parquet and plain text, each opened as a `Table`.

A reader knows formats and nothing of tasks. It checks what a parser would pass over in silence.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lit_hf.data.sources.delimited import open_csv, open_tsv
from lit_hf.data.sources.file_type import (
    check_content,
    content_stamp,
    head_of,
    lines_of,
    refuse_archive,
)
from lit_hf.data.sources.squad import is_squad, squad_rows
from lit_hf.data.sources.table import (
    ROWS_READ,
    Row,
    Table,
    check_names,
    class_names,
    columns_of,
    table_from_rows,
    with_short_floats,
)
from lit_hf.errors import InputError


def open_file(path: str, column_names: Sequence[str] | None = None) -> Table:
    """Open a file by its ending: .csv .tsv .jsonl .json .parquet, or .txt with a text a line.

    Args:
        path: the file.
        column_names: names of the columns of a CSV or TSV file without a header line.

    Raises:
        InputError: if the file is missing, unreadable, empty, of another format or damaged.
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
    head = head_of(file)
    if suffix not in openers:
        refuse_archive(file)
        wanted = ", ".join(openers)
        raise InputError(f"{file}: unknown ending {suffix!r}; wanted one of {wanted}.")
    check_content(file, head)
    return openers[suffix](file, column_names)


def _open_jsonl(path: Path, column_names: Sequence[str] | None) -> Table:
    rows = partial(_jsonl_rows, path)
    return Table(str(path), "line", columns_of(rows()), content_stamp(path), rows)


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in lines_of(path):
        if not line.strip():
            continue
        row = _from_json(line.rstrip("\r\n"), f"{path}, line {number}", " One object a line.")
        if not isinstance(row, dict):
            raise InputError(
                f"{path}, line {number}: a {type(row).__name__}, wanted an object of columns."
            )
        yield number, row


def _open_json(path: Path, column_names: Sequence[str] | None) -> Table:
    text = "".join(line for _, line in lines_of(path))
    content = _from_json(text, str(path), " One object a line? Name it .jsonl.")
    if isinstance(content, dict) and is_squad(content):
        return table_from_rows(
            str(path), squad_rows(path, content), content_stamp(path), unit="question"
        )
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise InputError(f"{path}: wanted a list of objects, one for each row.")
    return table_from_rows(str(path), content, stamp=content_stamp(path))


def _from_json(text: str, where: str, hint: str = "") -> object:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice = next(name for name, count in counts.items() if count > 1)
            raise InputError(
                f"{where}: {twice!r} stands twice in an object; remove one of the two."
            )
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        place = f"at character {error.colno}" if error.lineno == 1 else f"in line {error.lineno}"
        near = text[max(0, error.pos - 20) : error.pos + 20]
        raise InputError(f"{where}: not JSON: {error.msg} {place}, near {near!r}.{hint}") from None
    except InputError:
        raise
    except RecursionError:
        raise InputError(f"{where}: brackets are nested too deeply, flatten them.") from None
    except ValueError:
        raise InputError(f"{where}: a number has more than 4300 digits; write a text.") from None


def _open_parquet(path: Path, column_names: Sequence[str] | None) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features

    try:
        schema = pq.read_schema(path)
    except Exception as error:  # whatever a strange file makes of its readers
        raise InputError(f"{path}: not a whole Parquet file: {error}.") from None
    check_names(str(path), schema.names)
    try:
        names = class_names(Features.from_arrow_schema(schema))
    except Exception as error:  # of what the metadata say
        raise InputError(
            f"{path}: `datasets` cannot read the types of its columns: {error}. Leave out columns "
            "of such types, or write the file anew without the metadata."
        ) from None

    rows = partial(_parquet_rows, path)
    table = Table(str(path), "row", schema.names, content_stamp(path), rows, names)
    types = {pa.float32(): "float32", pa.float16(): "float16"}
    return with_short_floats(table, {field.name: types.get(field.type) for field in schema})


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row]]:
    import pyarrow.parquet as pq

    start = 1
    try:
        for batch in pq.ParquetFile(path).iter_batches(ROWS_READ):
            yield from enumerate(batch.to_pylist(), start=start)
            start += batch.num_rows
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: text after row {start - 1} is not UTF-8 (bytes {error.object[:40]!r}); "
            "write it anew."
        ) from None
    except Exception as error:  # a strange file may raise anything
        raise InputError(f"{path}: damaged after row {start - 1}: {error}.") from None


def _open_text(path: Path, column_names: Sequence[str] | None) -> Table:
    """A text a line; beside `X_text.txt` stand `X_labels.txt` and `mapping.txt` (TweetEval)."""
    labels = path.with_name(path.name.replace("_text.txt", "_labels.txt"))
    paired = labels != path and labels.exists()
    mapping = path.with_name("mapping.txt")
    names: dict[str, list[str]] = {}
    if paired and mapping.exists():
        names = {"label": _names_of_mapping(mapping)}

    rows = partial(_text_rows, path, labels if paired else None)
    columns = ["text", "label"] if paired else ["text"]
    used = [path, labels, mapping] if names else [path, labels] if paired else [path]
    return Table(str(path), "line", columns, content_stamp(*used), rows, names)


def _text_rows(path: Path, labels: Path | None) -> Iterator[tuple[int, Row]]:
    texts = [line.rstrip("\r\n") for _, line in lines_of(path)]
    if labels is None:
        yield from ((number, {"text": text}) for number, text in enumerate(texts, start=1))
        return
    values = [line.strip() for _, line in lines_of(labels)]
    if len(values) != len(texts):
        raise InputError(
            f"{path} has {len(texts)} lines but {labels} has {len(values)}; "
            "every text needs its label on the same line."
        )
    for number, (text, label) in enumerate(zip(texts, values, strict=True), start=1):
        yield number, {"text": text, "label": label}


def _names_of_mapping(path: Path) -> list[str]:
    """Names of the classes in lines of a number, a tab and a name; a third field is a longer name.

    Raises:
        InputError: naming the first line that is another, or whose number is not its own.
    """
    lines = [(at, line.strip().split("\t")) for at, line in lines_of(path) if line.strip()]
    names: dict[str, str] = {}
    for at, cells in lines:
        if len(cells) < 2 or not cells[0].strip().isdigit():
            raise InputError(f"{path}, line {at}: wanted a number, a tab and a name: {cells}.")
        number = cells[0].strip()
        if number in names or number not in map(str, range(len(lines))):
            raise InputError(
                f"{path}, line {at}: number {number!r} is there twice or leaves a gap; wanted each "
                f"of 0 to {len(lines) - 1} once."
            )
        names[number] = cells[-1].strip()
    return [names[str(number)] for number in range(len(lines))]
