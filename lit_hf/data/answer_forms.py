"""Files of answers as others expect them: a contest's table, SQuAD's object."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from lit_hf.batches import Prediction
from lit_hf.functional.label_cells import labels_writer, name_key
from lit_hf.functional.labels import are_numbers, spellings

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


Described = Mapping[str, object]
"""The description of a data module, by `describe`."""
Classes = Mapping[str, Mapping[str, int]]  # how many rows of each split write a class as a text


class AnswerForm(Protocol):
    """A file of answers in the form of others.

    Attributes:
        file_name: its name in the run folder.
    """

    @property
    def file_name(self) -> str:
        """Its name."""

    def write(self, out: "SupportsWrite[str]", rows: Iterator[Prediction]) -> None:
        """Write the answers in order."""


@dataclass(frozen=True)
class TableForm:
    """`submission.csv`: ids and labels under the names of the training file's columns.

    Attributes:
        header: names of the id and the label column.
        labels: how the training file writes each class, by its name.
        separator: what stands between several labels; lists are written where a name holds it.
        file_name: its name.
    """

    header: tuple[str, str]
    labels: Mapping[str, str]
    separator: str
    file_name: str = "submission.csv"

    def write(self, out: "SupportsWrite[str]", rows: Iterator[Prediction]) -> None:
        """Write the header and a line for each answer."""
        writer = csv.writer(_UnixLines(out))
        writer.writerow(self.header)
        several = labels_writer(self.labels.values(), self.separator)
        for row in rows:
            cell: object = row["prediction"]
            if isinstance(cell, list):
                cell = several([self.labels.get(name, name) for name in cell])
            elif isinstance(cell, str):
                cell = self.labels.get(cell, cell)
            writer.writerow([row["id"], cell])


@dataclass(frozen=True)
class SquadForm:
    """`predictions.json`: an object of question ids and answers, as SQuAD's script reads it."""

    file_name: str = "predictions.json"

    def write(self, out: "SupportsWrite[str]", rows: Iterator[Prediction]) -> None:
        """Write the answers, one a line."""
        out.write("{")
        comma = ""
        for row in rows:
            out.write(f"{comma}\n" + json.dumps({str(row["id"]): row["prediction"]})[1:-1])
            comma = ","
        out.write("\n}\n")


class _UnixLines:
    r"""Ends lines in "\n": a csv.writer that is set to do so leaves an id with "\r" unquoted."""

    def __init__(self, stream: "SupportsWrite[str]") -> None:
        self.stream = stream

    def write(self, line: str) -> None:
        r"""Take a line that ends in "\r\n"."""
        self.stream.write(line.removesuffix("\r\n") + "\n")


def table_form(
    header: tuple[str | None, str | None],
    separator: str,
    names: Sequence[str],
    trainings: Sequence[Described],
) -> TableForm | None:
    """The columns and labels of a training file; None where it names no rows.

    Args:
        header: names of its id and its label column.
        separator: what stands between several labels.
        names: of the classes in the order of the model.
        trainings: what data modules have described; the first that knows its training rows counts.
    """
    id_column, label_column = header
    if not id_column:
        return None
    classes = (cast("Classes", about.get("classes") or {}) for about in trainings)
    counts = next(filter(None, (found.get("train") for found in classes)), {})
    labels = labels_in_file(names, counts)
    return TableForm((id_column, label_column or "label"), labels, separator)


def labels_in_file(names: Sequence[str], counts: Mapping[str, int]) -> dict[str, str]:
    """How the training file writes each class: by its name or by its number.

    Args:
        names: names of the classes in order.
        counts: how many rows of the file write a class as this text.

    >>> labels_in_file(["no", "yes"], {"0": 2, "1": 1}), labels_in_file(["1", "2"], {"01": 4})
    ({'no': '0', 'yes': '1'}, {'1': '01', '2': '2'})
    """
    written = spellings(counts)
    if are_numbers(counts, names):
        return {name: written.get(str(n), str(n)) for n, name in enumerate(names)}
    return {name: written.get(name_key(name), name) for name in names}
