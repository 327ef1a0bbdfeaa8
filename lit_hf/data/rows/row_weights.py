"""Weights of rows: how much each row counts in the training loss."""

from datasets import Dataset, Features, Value

from lit_hf.data.rows.report import CellError
from lit_hf.data.sources.table import Row
from lit_hf.errors import InputError

WEIGHT = "row_weight"  # column of encoded rows; no name of a column that a task reads
_LARGEST = 3.4028234663852886e38  # weights are float32 in a batch


def weight_of(row: Row, column: str) -> float:
    """The weight in a cell.

    Args:
        row: the row.
        column: which cell.

    Raises:
        CellError: if it is no finite number of 0 or more.

    >>> weight_of({"importance": "0.5"}, "importance")
    0.5
    """
    cell = row.get(column)
    if fault := _fault_of(cell):
        raise CellError(f"the weight {fault} (column {column!r})", column, cell)
    return float(cell)  # type: ignore[arg-type]  # just tried


def _fault_of(cell: object) -> str:
    """What is wrong with a cell, as the end of a clause; "" where nothing is."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return "is missing"
    try:
        number = float("" if isinstance(cell, bool) or "_" in str(cell) else cell)  # type: ignore[arg-type]  # anything else is no number
    except OverflowError:
        return "is not finite"
    except (TypeError, ValueError):
        return "is not a number"
    if not abs(number) <= _LARGEST:  # also NaN
        return "is not finite"
    return "is negative" if number < 0 else ""


def weight_features(rows: Dataset) -> Features:
    """The column of weights, where rows have one."""
    return Features({WEIGHT: Value("float64")} if WEIGHT in rows.column_names else {})


def without_weights(rows: Dataset) -> Dataset:
    """Rows to validate, which all count alike."""
    return rows.remove_columns(WEIGHT) if WEIGHT in rows.column_names else rows


def check_weights(rows: Dataset, column: str | None, name: str) -> None:
    """Refuse training rows that all weigh nothing, or that were given no weights.

    Args:
        rows: encoded training rows.
        column: where their weights were to be read; None reads none.
        name: of their table.

    Raises:
        InputError: saying which of the two.
    """
    if column is None:
        return
    if WEIGHT not in rows.column_names:
        raise InputError(
            f"`weight_column` is {column!r}, and the encoded rows have no weights: an `encode` of "
            f"your own keeps the column {WEIGHT!r} of the checked rows."
        )
    weights = rows.select_columns([WEIGHT]).with_format("arrow")
    if not any(any(table[WEIGHT].to_pylist()) for table in weights.iter(batch_size=10_000)):
        raise InputError(
            f"{name}: all {rows.num_rows} training rows have the weight 0 (column {column!r}), so "
            "there is nothing to learn; give some of them a weight above 0."
        )
