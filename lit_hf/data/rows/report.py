"""What was found in the rows: counts, and the bad ones, told in one message."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lit_hf.functional.text import printable
from lit_hf.functional.values import MISSING_WORDS


@dataclass
class RowProblems:
    """What is wrong with the rows of one table: for each kind a count and the first five places.

    Attributes:
        kinds: a clause such as "the text is empty" to its count and examples.
    """

    kinds: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def add(self, kind: str, place: str, value: object) -> None:
        """Count one bad row; `place` is "line 7", `value` what was found there."""
        count, examples = self.kinds.get(kind, (0, []))
        if len(examples) < 5:
            found = printable(_shown(value), 60)
            examples = [*examples, f"{place} has {found}"]
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


def _shown(value: object) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # an integer of over 4300 digits; a very deep list
        return f"a {type(value).__name__} that cannot be shown"


class CellError(ValueError):
    """A cell that cannot be used: a clause about it, its column and its value."""

    def __init__(self, clause: str, column: str, value: object) -> None:
        super().__init__(clause)
        self.column = column
        self.value = value


@dataclass
class RowSummary:
    """What was found in the rows of one split; each task adds to it.

    Attributes:
        num_rows: rows kept.
        problems: report of the rows that were left out; "" where there are none.
        num_repeated_ids: rows kept whose id came before.
        missing_words: how many cells of a column are such a text as "nan", and where the first is.
    """

    num_rows: int = 0
    problems: str = ""
    num_repeated_ids: int = 0
    missing_words: dict[str, dict[str, tuple[int, str]]] = field(default_factory=dict)

    def look(self, column: str, cell: object, place: str) -> None:
        """Count a cell that holds, alone or in a list, the text that stands for a missing one."""
        if isinstance(cell, list | tuple):
            for inner in cell:
                self.look(column, inner, place)
        elif isinstance(cell, Mapping):  # an answer
            self.look(column, cell.get("text"), place)
        elif isinstance(cell, str) and cell in MISSING_WORDS:
            words = self.missing_words.setdefault(column, {})
            count, first = words.get(cell, (0, place))
            words[cell] = (count + 1, first)

    def words_report(self, name: str) -> str:
        """What is to be said of these; "" where there are none."""
        lines = [
            f"{name}: column {column!r}: {words_found(words)}: pandas takes such a text for a "
            "missing cell, the model reads it. Where it marks one, leave the cell empty, in a "
            "frame by `fillna('')` before `astype(str)`."
            for column, words in self.missing_words.items()
        ]
        return "\n".join(lines)


def words_found(words: Mapping[str, tuple[int, str]]) -> str:
    """Texts with their counts and the places of the first ones.

    >>> words_found({"nan": (3, "line 7")})
    "3 x 'nan' (first in line 7)"
    """
    return ", ".join(f"{n} x {word!r} (first in {at})" for word, (n, at) in words.items())
