"""Tables of text: CSV, whose fields may stand in quotes, and TSV, of which some know no quotes."""

import csv
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lit_hf.data.sources.file_type import content_stamp, lines_of
from lit_hf.data.sources.headers import refuse_header
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError
from lit_hf.functional.text import printable

log = logging.getLogger(__name__)
Records = Iterator[tuple[int, list[str]]]  # each with the number of the line where it begins
csv.field_size_limit(2**31 - 1)  # the default refuses a field of 128 KiB


def _parse_delimited(
    path: Path, records: Records, names: Sequence[str] | None
) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    """Give each record its column names; refuse one with more or fewer fields."""
    header = list(names) if names else next(records, (0, []))[1]
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise InputError(
            f"{path}: the header names {twice[0]!r} twice: {header}. "
            "If the file has no header line, set `column_names`."
        )

    return header, _named_records(path, records, header)


def _named_records(
    path: Path, records: Records, header: Sequence[str]
) -> Iterator[tuple[int, Row]]:
    for number, record in records:
        if not record:
            continue  # a blank line
        if len(record) != len(header):
            raise InputError(
                f"{path}, line {number}: {len(record)} fields, wanted {len(header)} "
                f"({', '.join(header)}). A field with a comma, tab or line break needs quotes."
            )
        yield number, dict(zip(header, record, strict=True))


def _rows(
    path: Path, records: Callable[[], Records], names: Sequence[str] | None
) -> Iterator[tuple[int, Row]]:
    return _parse_delimited(path, records(), names)[1]


def _quoted_records(path: Path, delimiter: str) -> Records:
    """Records by the rules of RFC 4180, each with the number of the line where it begins."""
    reader = csv.reader((line for _, line in lines_of(path)), delimiter=delimiter, strict=True)
    start = 1
    try:
        for record in reader:
            yield start, record
            start = reader.line_num + 1
    except csv.Error as error:
        if "new-line character" in str(error):
            raise InputError(
                f"{path}, line {start}: a carriage return (\\r) stands outside of quotes. Save the "
                "file with line ends \\n or \\r\\n; a field with a line break needs quotes."
            ) from None
        raise InputError(
            f"{path}, line {start}: broken quoting: {error}. Every quote that opens a field needs "
            'one that closes it, and a quote inside a quoted field is written twice ("").'
        ) from None


def _tab_records(path: Path) -> Records:
    """Records of a TSV without quoting rules; well-formed quotes around a field are taken off."""
    for number, line in lines_of(path):
        text = line.rstrip("\r\n")
        fields = text.split("\t") if text else []
        yield number, [_unquote(cell) for cell in fields]


def _unquote(cell: str) -> str:
    inner = cell[1:-1]
    quoted = len(cell) >= 2 and cell[0] == cell[-1] == '"'
    if quoted and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


def open_csv(path: Path, column_names: Sequence[str] | None) -> Table:
    """Open a CSV by the rules of RFC 4180: a field in quotes may hold commas and line breaks."""
    return _table(path, partial(_quoted_records, path, ","), column_names)


def open_tsv(path: Path, column_names: Sequence[str] | None) -> Table:
    """Open a TSV. Quotes are text in most; in some a field with a tab or line break stands in them.

    Raises:
        InputError: if a line has more or fewer fields than the first, and quotes do not explain it.
    """
    if _is_quoted(path, column_names):
        return _table(path, partial(_quoted_records, path, "\t"), column_names)
    return _table(path, partial(_tab_records, path), column_names)


def _table(path: Path, records: Callable[[], Records], names: Sequence[str] | None) -> Table:
    if names:
        read = records()
        line, first = next(read, (1, []))
        refuse_header(f"{path}, line {line}", first, names, (record for _, record in read))
    header, _ = _parse_delimited(path, records(), names)
    stamp = content_stamp(path) + (f" as {list(names)}" if names else "")
    return Table(str(path), "line", header, stamp, partial(_rows, path, records, names))


def _is_quoted(path: Path, names: Sequence[str] | None) -> bool:
    """Whether a TSV has to be read by RFC 4180: read line by line its rows are of several widths.

    Raises:
        InputError: if the lines do not fit without quotes, nor do the fields with them.
    """
    widths = [len(record) for _, record in _tab_records(path)]
    width = len(names) if names else widths[0]
    odd = next((line for line, found in enumerate(widths, 1) if found not in (0, width)), None)
    if odd is None:
        if width == 1:
            _tell_other_reading(path, names, len(widths) - widths.count(0))
        return False
    fault = _fault_of_quotes(path, names, widths, width)
    if fault is None:
        return True
    if fault == _fields(odd, widths[odd - 1]):  # there are no quotes around fields
        return False
    raise InputError(
        f"{path}: {_fields(odd, widths[odd - 1])}, wanted {width}. With fields in quotes the "
        f"file does not fit either: {fault}. Take out the tab or the line break that is too many, "
        "or write the rows as .jsonl, which can hold both."
    )


def _fields(line: int, count: int) -> str:
    return f"line {line} has {count} fields"


def _fault_of_quotes(
    path: Path, names: Sequence[str] | None, widths: Sequence[int], width: int
) -> str | None:
    """What is wrong with a TSV that is read with quotes around fields; None if nothing is.

    A lone quote at the beginning of a field joins all rows up to the next one at the end of a field
    of the same column. What it joins holds a tab and a line break, and lines that are rows.

    Args:
        path: the file.
        names: names of its columns where it has no header line.
        widths: how many fields each line has without quotes.
        width: how many it should have.
    """
    wanted = len(names) if names else None
    try:
        for first, record in _quoted_records(path, "\t"):
            wanted = wanted or len(record)
            if len(record) not in (0, wanted):
                return _fields(first, len(record))
            last = first + sum(cell.count("\n") for cell in record)
            joined = [cell for cell in record if "\t" in cell and "\n" in cell]
            if joined and width in widths[first - 1 : last]:
                return f"lines {first} to {last} would be one row, {printable(repr(joined[0]), 60)}"
    except InputError as error:
        return str(error).removeprefix(f"{path}, ").rstrip(".")
    return None


def _tell_other_reading(path: Path, names: Sequence[str] | None, num_lines: int) -> None:
    """Say so where a file of one column has other rows if its fields stand in quotes."""
    try:
        num_records = sum(bool(record) for _, record in _quoted_records(path, "\t"))
    except InputError:
        return
    header = 0 if names else 1
    if num_records != num_lines:
        log.warning(
            f"{path}: read as {num_lines - header} rows, one a line; with fields in quotes, which "
            f"may hold line breaks, there would be {num_records - header}. If that is meant, name "
            "the file .csv."
        )
