"""The settings that data modules share, as their classes hand them on to `HFDataModule`."""

from typing import Literal, TypedDict


class RowSettings(TypedDict, total=False):
    """Those of every data module, whose default none changes; `HFDataModule` says what they are."""

    predict_file: str | list[str] | None
    num_workers: int
    on_bad_row: Literal["error", "skip"]
    seed: int
    weight_column: str | None


class FileSettings(RowSettings, total=False):
    """The same where rows come from files or data sets of any name."""

    subset: str | None
    train_file: str | list[str] | None
    val_file: str | list[str] | None
    test_file: str | list[str] | None
    val_fraction: float


class LengthSettings(TypedDict, total=False):
    """Those of tokens, which rows have different numbers of."""

    length_group_size: int
    max_tokens: int | None
    pad_to_multiple_of: int


class BatchSettings(TypedDict, total=False):
    """Those of a task with the usual batch sizes."""

    batch_size: int
    eval_batch_size: int


class DataSettings(FileSettings, LengthSettings, BatchSettings, total=False):
    """All settings of `HFDataModule` but for `model_name` and `dataset`."""

    column_names: list[str] | None
