"""The classes of a data set: their order, and what a person should know about them."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from datasets import Dataset
from transformers import PreTrainedConfig

from lit_hf.data.rows.report import RowSummary
from lit_hf.data.sources.table import Table
from lit_hf.errors import InputError
from lit_hf.functional.label_cells import name_key
from lit_hf.functional.labels import (
    ProblemType,
    in_class_order,
    keys_of_names,
    names_in_order,
    spellings,
)
from lit_hf.functional.values import MISSING_WORDS
from lit_hf.pretrained.label_names import is_classifier, names_of, numbers_of

log = logging.getLogger(__name__)
_FLAGS = ({"0", "1"}, {"false", "true"})


def known_names(tables: Sequence[Table], column: str) -> list[str]:
    """The names of the classes that the format of some tables gives; [] where it gives none.

    Those of subfolders stand in the order of all classes, others in the format's own.

    Raises:
        InputError: if two names are the same label.
    """
    known = [table.class_names.get(column) or list(table.subfolders) for table in tables]
    if not known or not known[0]:
        return []
    found = list(spellings(dict.fromkeys(chain.from_iterable(known), 1)).values())
    if all(table.subfolders for table in tables):
        return in_class_order(found)
    for names in known:
        keys_of_names(names)
    return found


def names_without_training(known: list[str], config: PreTrainedConfig) -> list[str]:
    """The names of the classes where there are no training rows: those of a trained model.

    Args:
        known: names that the format of the other rows gives.
        config: of the model.

    Raises:
        InputError: if neither gives any.
    """
    trained = names_of(config) if is_classifier(config) else []
    readable = {name_key(name) for name in trained}
    if numbers_of(trained) and known == in_class_order(known):
        readable |= set(map(str, range(len(trained))))
    if known and not {name_key(name) for name in known} <= readable:
        return known
    if not trained:
        raise InputError("the classes are not known: set `train_file` or `label_names`.")
    return trained


def reading_of_model(config: PreTrainedConfig, task: str, names: Sequence[str]) -> object:
    """What the labels of its training rows are to an exported model of these classes: "names" ….

    Args:
        config: of the model.
        task: of the data.
        names: of the classes in order; of other classes a model knows nothing.
    """
    about = (getattr(config, "task_specific_params", None) or {}).get(task)
    is_same = names_of(config) == list(names)
    return about.get("labels_are") if is_same and isinstance(about, dict) else None


def names_of_rows(
    summary: RowSummary, where: str, num_files: int, has_header: bool = True
) -> list[str]:
    """The names of the classes that were found in the training rows.

    Args:
        summary: what was found.
        where: table and column, for messages.
        num_files: how many files the rows are from.
        has_header: whether these have a header line; else it may have been taken for a row.

    Raises:
        InputError: if there are nearly as many as rows, or one seems to be a header.
    """
    classes, places = summary.classes, summary.places
    num_classes = len(spellings(classes))
    if num_classes > max(50, summary.num_rows // 2):
        fault = f"{num_classes} different labels in {summary.num_rows} rows; the label column?"
        raise InputError(f"{where}: {fault} For numbers set `problem_type: regression`.")
    first = [] if has_header else [name for name, at in places.items() if at.endswith("line 1")]
    for label in first:
        fewest = min((count for name, count in classes.items() if name != label), default=0)
        if classes[label] <= num_files and classes[label] < fewest and not label.isdigit():
            raise InputError(
                f"{where}: the class {label!r} stands in the first line only. If this is a header "
                "line, leave `column_names` out; if a row, list every class in `label_names`."
            )
    for label in MISSING_WORDS & classes.keys():
        log.warning(
            f"{where}: the label {classes[label]} x {label!r} (first in {places[label]}) is a "
            "class; where it marks a missing one, leave the cell empty and set `on_bad_row: skip`."
        )
    return names_in_order(classes, places, where)


def check_flags(
    labels: Iterable[Sequence[str]], where: str, names: Sequence[str] | None, is_train: bool
) -> None:
    """Refuse 0 and 1 as lists of labels: they say of one label, or of two, whether it is on.

    A model of a column of them would have a class "0" and a class "1", and could answer both or
    none. Of pairs, such as [1, 0], each row would have both classes. Flags of more labels hold one
    of the two twice, which no list of labels does.

    Args:
        labels: the labels of each row, as the rows write them.
        where: file and column, for the message.
        names: `label_names`, where they are listed.
        is_train: whether these are training rows; of others less can be known.

    Raises:
        InputError: saying what to do.
    """
    found: set[tuple[str, ...]] = set()
    for row in labels:
        keys = tuple(name_key(label).casefold() for label in row)
        if len(keys) not in (1, 2) or not any(flags >= set(keys) for flags in _FLAGS):
            return
        found.add(keys)
    is_one = is_train and names is None and len(found) == 2 and all(len(k) == 1 for k in found)
    is_pair = bool(found) and all(len(keys) == 2 for keys in found)
    in_order = all(list(keys) == sorted(keys) for keys in found)  # may truly be the two classes
    if is_one or (is_pair and len(names or ()) in (0, 2) and (is_train or not in_order)):
        shown = " or ".join(str(list(keys)) for keys in sorted(found))
        raise InputError(
            f"{where}: every row is {shown}, flags of labels that are on or off? `multi_label` "
            "reads lists of labels: list the names of those that are on, such as 'joy,anger', or "
            "[] for none. For one label that is on or off set `problem_type: single_label`."
        )


def check_lists(train: Dataset, problem_type: ProblemType, separator: str) -> None:
    """Warn of lists of labels that hold one label each.

    Args:
        train: encoded training rows.
        problem_type: only those of "multi_label" have lists.
        separator: what stands between labels that share a cell.
    """
    if problem_type == "multi_label" and all(len(row) == 1 for row in values_of(train, "labels")):
        log.warning(
            "every training row has one label, though `problem_type` is multi_label: set it to "
            f"single_label, or set `label_separator` (it is {separator!r}) if cells hold several."
        )


def in_order_of_model(found: list[str], config: PreTrainedConfig) -> list[str]:
    """Where a model has trained classes of the same names, put them in its order.

    Numbers for names, as of LABEL_0, tell no order: whether LABEL_2 is the class "2" or the third
    one of a data set, only those who trained it know.
    """
    trained = [name_key(name).casefold() for name in names_of(config)]
    own = {name_key(name).casefold(): name for name in found}
    is_same = sorted(own) == sorted(trained) and len(own) == len(found)
    return [own[key] for key in trained] if is_same and numbers_of(trained) is None else found


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
    return Counter(chain.from_iterable(labels) if problem_type == "multi_label" else labels)


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
        fault = f"{sum(only.values())} labels of validation rows stand in no training row"
        log.warning(f"{fault} ({_listed(only)}): no model can learn them.")
    forms = [" ".join(unicodedata.normalize("NFKC", name).casefold().split()) for name in names]
    counts = Counter(forms)
    alike = [name for name, form in zip(names, forms, strict=True) if counts[form] > 1]
    if alike:
        log.warning(f"classes {_listed(alike)} differ only in case, spaces or Unicode form.")


def check_spellings(labels: Mapping[str, int]) -> None:
    """Warn of classes that the training rows write in several ways.

    Args:
        labels: how many of these rows write a class as this text.
    """
    kept = spellings(labels)
    other = [f"{text} as {kept[name_key(text)]}" for text in labels if text not in kept.values()]
    if other:
        fault = "training rows write one class in several ways, which is taken as most have it"
        log.warning(f"{fault}: {_listed(other)}.")


def _listed(names: Iterable[str]) -> str:
    shown = list(map(repr, names))
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")
