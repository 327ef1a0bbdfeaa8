"""Tables of text: CSV, whose fields may stand in quotes, and TSV, of which some know no quotes."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from lit_hf.data.sources.file_type import content_stamp, lines_of
from lit_hf.data.sources.table import Row, Table, check_names
from lit_hf.errors import InputError

Records = Iterator[tuple[int, list[str]]]  # each with the number of the line where it begins
csv.field_size_limit(2**31 - 1)  # the default refuses a field of 128 KiB


def open_csv(path: Path, column_names: Sequence[str] | None) -> Table:
    """Open a CSV by the rules of RFC 4180: a field in quotes may hold commas and line breaks."""
    return _table(path, partial(_quoted_records, path, ","), column_names)


def open_tsv(path: Path, column_names: Sequence[str] | None) -> Table:
    """Open a TSV. Quotes are text in most; in some a field with a tab or line break stands in them.

    Such a file is known by its lines, which have several numbers of fields.
    """
    widths = [len(record) for _, record in _plain_records(path)]
    width = len(column_names) if column_names else widths[0]
    is_quoted = not set(widths) <= {0, width} and _fits_quoted(path, column_names)
    records = _quoted_records if is_quoted else _plain_records
    return _table(path, partial(records, path, "\t"), column_names)


def _table(path: Path, records: Callable[[], Records], names: Sequence[str] | None) -> Table:
    line, first = next(records(), (1, []))
    if names and any(_folded(a) == _folded(b) for a, b in zip(first, names, strict=False)):
        fix = "`column_names` are for files without one; leave them out, or remove the line"
        raise InputError(f"{path}, line {line}: this is a header line, {first}; {fix}.")
    header = list(names or first)
    check_names(str(path), header)
    stamp = content_stamp(path) + (f" as {header}" if names else "")
    rows = partial(_rows, path, records, header, 0 if names else 1)
    return Table(str(path), "line", header, stamp, rows)


def _rows(
    path: Path, records: Callable[[], Records], header: Sequence[str], first: int
) -> Iterator[tuple[int, Row]]:
    for number, record in islice(records(), first, None):
        if record and len(record) != len(header):
            fault = f"{len(record)} fields, expected {len(header)} ({', '.join(header)})"
            fix = "a field with a comma, tab or line break needs quotes"
            raise InputError(f"{path}, line {number}: {fault}; {fix}.")
        if record:  # no blank line
            yield number, dict(zip(header, record, strict=True))


def _quoted_records(path: Path, delimiter: str = "\t") -> Records:
    """Records by the rules of RFC 4180."""
    reader = csv.reader((line for _, line in lines_of(path)), delimiter=delimiter, strict=True)
    start = 1
    try:
        for record in reader:
            yield start, record
            start = reader.line_num + 1
    except csv.Error as error:
        fix = 'quotes around a field are closed, one inside is written "", lines end with \\n'
        raise InputError(f"{path}, line {start}: broken quoting, {error}; {fix}.") from None


def _plain_records(path: Path, delimiter: str = "\t") -> Records:
    """Records without quoting rules; well-formed quotes around a whole field are taken off."""
    for number, line in lines_of(path):
        text = line.rstrip("\r\n")
        yield number, [_unquote(cell) for cell in text.split(delimiter)] if text else []


def _unquote(cell: str) -> str:
    inner = cell[1:-1].replace('""', "")
    is_quoted = len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in inner
    return cell[1:-1].replace('""', '"') if is_quoted else cell


def _fits_quoted(path: Path, names: Sequence[str] | None) -> bool:
    """Whether all records of a TSV have one width when its fields stand in quotes.

    A lone quote at the beginning of a field would join all rows up to the next quote. Such a field
    holds a tab and a line break, and then the lines do not fit.
    """
    width = len(names) if names else None
    try:
        for _, record in _quoted_records(path):
            width = width or len(record)
            is_joined = any("\t" in cell and "\n" in cell for cell in record)
            if len(record) not in (0, width) or is_joined:
                return False
    except InputError:
        return False
    return True


def is_header(row: Mapping[str, object]) -> bool:
    """Whether a row repeats the names of its columns, as in the middle of files put together.

    The names may be in another order. A column that is alone may hold its name as a text.

    >>> is_header({"text": "Text", "label": "label"}), is_header({"text": "text"})
    (True, False)
    """
    cells = [_folded(cell) for cell in row.values() if isinstance(cell, str)]
    return len(row) > 1 and sorted(cells) == sorted(map(_folded, row))


def _folded(cell: str) -> str:
    """A cell without case, spaces and the byte order mark of a second file."""
    return cell.strip('\ufeff" \t').casefold()
