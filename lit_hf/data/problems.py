"""What was found in the rows: counts, and the bad ones, told in one message."""

from dataclasses import dataclass, field

from lit_hf.functional.text import printable


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
    """

    num_rows: int = 0
    problems: str = ""
    num_repeated_ids: int = 0
