"""The classes of a data set: their order, and what a person should know about them."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from datasets import Dataset

from lit_hf.data.examples import ExampleSummary
from lit_hf.data.tables import Table
from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType, name_key, names_in_order, spellings
from lit_hf.processors import load_config

log = logging.getLogger(__name__)


def known_names(tables: Sequence[Table], column: str) -> list[str]:
    """The names of the classes that the training rows' format tells; [] where it tells none.

    Raises:
        InputError: if there are no training rows.
    """
    if not tables:
        raise InputError("the classes are not known: set `label_names` or training rows.")
    return tables[0].class_names.get(column, [])


def check_order(tables: Sequence[Table], trained: Sequence[Table], column: str) -> None:
    """Refuse tables that number the same classes in another order than the training rows.

    Args:
        tables: the rows of any split.
        trained: the training rows, where there are some.
        column: the label column.

    Raises:
        InputError: naming two tables and their orders.
    """
    numbered = [table for table in [*trained, *tables] if table.has_names]  # not folders of images
    ordered = [table for table in numbered if table.class_names.get(column)]
    for table in ordered[1:]:
        first, names = ordered[0].class_names[column], table.class_names[column]
        if names != first:
            raise InputError(
                f"{table.name}: column {column!r} numbers the classes as {_listed(names)}, "
                f"{ordered[0].name} as {_listed(first)}: the same number would be two classes. "
                "Write the names in place of the numbers, or number them alike."
            )


def names_of_rows(summary: ExampleSummary, where: str, remedy: str) -> list[str]:
    """The names of the classes that were found in the training rows.

    Args:
        summary: what was found.
        where: table and column, for messages.
        remedy: what to do where the labels look like none.

    Raises:
        InputError: if there are nearly as many as rows.
    """
    num_classes = len(spellings(summary.classes))
    if num_classes > max(50, summary.num_rows // 2):
        raise InputError(
            f"{where}: {num_classes} different labels in {summary.num_rows} rows; is it "
            f"the label column? {remedy}"
        )
    return names_in_order(summary.classes, summary.places, where)


def in_order_of_model(found: list[str], model_name: str) -> list[str]:
    """Where a model has trained classes of the same names, put them in its order."""
    trained = list((load_config(model_name).id2label or {}).values())
    order = {name_key(str(name)).casefold(): index for index, name in enumerate(trained)}
    if {name_key(name).casefold() for name in found} == order.keys():
        return sorted(found, key=lambda name: order[name_key(name).casefold()])
    return found


def values_of(rows: Dataset, column: str) -> Iterator[Any]:
    """The values of a column, read in blocks: a dataset's own columns are read row by row.

    >>> list(values_of(Dataset.from_dict({"label": [2, 0]}), "label"))
    [2, 0]
    """
    for table in rows.select_columns([column]).with_format("arrow").iter(batch_size=1000):
        yield from table.column(column).to_pylist()


def class_counts(part: Dataset | None, problem_type: ProblemType) -> Counter[int]:
    """How often each class stands in encoded rows, by its number; a regression has none."""
    if part is None or problem_type == "regression":
        return Counter()
    labels = values_of(part, "labels")
    is_multi = problem_type == "multi_label"
    return Counter(index for ids in labels for index in (ids if is_multi else [ids]))


def check_classes(
    names: Sequence[str], trained: Mapping[int, int], validated: Mapping[int, int]
) -> None:
    """Warn of classes that are never trained, and of names that may be one class.

    Args:
        names: names of the classes in order.
        trained: count of each class in the training rows, by its number.
        validated: the same in the validation rows.
    """
    never = [name for index, name in enumerate(names) if index not in trained]
    if never:
        log.warning(f"no training row has the label {_listed(never)}: it stays unlearnt.")
    only = {names[index]: n for index, n in validated.items() if index not in trained}
    if only:
        log.warning(
            f"{sum(only.values())} labels of validation rows stand in no training row "
            f"({_listed(only)}): no model can learn them."
        )
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(unicodedata.normalize("NFC", str(name)).casefold(), []).append(name)
    for same in alike.values():
        if len(same) > 1:
            log.warning(f"classes {_listed(same)} differ only in case or Unicode form: one?")


def check_spellings(labels: Mapping[str, int]) -> None:
    """Warn of classes that the training rows write in several ways.

    Args:
        labels: how many of these rows write a class as this text.
    """
    kept = spellings(labels)
    ways: dict[str, list[str]] = {}
    for text, count in labels.items():
        ways.setdefault(kept[name_key(text)], []).append(f"{text!r} ({count})")
    mixed = [f"{' and '.join(found)} as {name!r}" for name, found in ways.items() if len(found) > 1]
    if mixed:
        more = f" and {len(mixed) - 10} more" if len(mixed) > 10 else ""
        log.warning(
            "training rows write one class in several ways, which is taken as most of them have "
            f"it: {', '.join(mixed[:10])}{more}."
        )


def _listed(names: Iterable[str]) -> str:
    shown = list(map(repr, names))
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")
