"""What was found in the rows: counts, and the bad ones, reported in one message."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lit_hf.functional.text import printable

Note = Callable[[str, object], None]
"""Counts a clause and a value about the row that is read, which is reported but kept."""


@dataclass
class RowProblems:
    """What is wrong with the rows of one table: for each kind a count and the first five places.

    Attributes:
        kinds: a clause such as "the text is empty" to its count and examples.
    """

    kinds: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def add(self, kind: str, place: str, value: object) -> None:
        """Count one row; `place` is "line 7", `value` what was found there."""
        count, examples = self.kinds.get(kind, (0, []))
        if len(examples) < 5:
            examples = [*examples, f"{place} has {printable(repr(value), 60)}"]
        self.kinds[kind] = (count + 1, examples)

    @property
    def num_rows(self) -> int:
        """How many problems were counted."""
        return sum(count for count, _ in self.kinds.values())

    def report(self, name: str) -> str:
        """One line for each kind, with counts and examples."""
        lines = []
        for kind, (count, examples) in self.kinds.items():
            more = f" and {count - len(examples)} more" if count > len(examples) else ""
            rows = "1 row" if count == 1 else f"{count} rows"
            lines.append(f"{name}: {rows}: {kind}: {'; '.join(examples)}{more}.")
        return "\n".join(lines)


class CellError(ValueError):
    """A cell that cannot be used: a clause about it, its column and its value."""

    def __init__(self, clause: str, column: str | None, value: object) -> None:
        super().__init__(clause if column is None else f"{clause} (column {column!r})")
        self.column = column
        self.value = value


@dataclass
class RowSummary:
    """What was found in the rows of one split.

    Attributes:
        num_rows: rows kept.
        classes: count of each label, as the rows write it; "1" and "01" are two of one class.
        places: place of the first row of each label.
        problems: report of the rows that were skipped; "" where there are none.
        notes: report of rows that were kept, but of which a person should know.
    """

    num_rows: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    problems: str = ""
    notes: str = ""

    def count(self, label: str, place: str) -> None:
        """Count a label of a row."""
        self.classes[label] = self.classes.get(label, 0) + 1
        self.places.setdefault(label, place)
