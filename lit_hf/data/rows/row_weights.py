"""Weights of rows: how much each row counts in the training loss."""

from datasets import Dataset, Features, Value

from lit_hf.data.rows.cells import cell_of
from lit_hf.data.sources.table import Row
from lit_hf.errors import InputError
from lit_hf.functional.values import finite_number

WEIGHT = "row_weight"  # column of encoded rows; no name of a column that a task reads


def weight_of(row: Row, column: str) -> float:
    """The weight in a cell.

    Raises:
        CellError: if it is no finite number of 0 or more.

    >>> weight_of({"importance": "0.5"}, "importance")
    0.5
    """

    def read(cell: object) -> float:
        if (number := finite_number(cell)) < 0:
            raise ValueError("is negative")
        return number

    return cell_of(row, column, read, "the weight")


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
        fix = f"an `encode` of your own keeps the column {WEIGHT!r} of the checked rows"
        raise InputError(f"the encoded rows have no weights (`weight_column`): {fix}.")
    weights = rows.select_columns([WEIGHT]).with_format("arrow")[:]
    if not any(weights[WEIGHT].to_pylist()):
        fault = f"all {rows.num_rows} training rows have the weight 0 (column {column!r})"
        raise InputError(f"{name}: {fault}, so there is nothing to learn.")
