"""The classes of a data set: their order, and what a person should know about them."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from datasets import Dataset
from transformers import PreTrainedConfig

from lit_hf.data.rows.report import words_found
from lit_hf.data.rows.text import ExampleSummary
from lit_hf.data.sources.table import Table
from lit_hf.errors import InputError
from lit_hf.functional.labels import (
    ProblemType,
    in_class_order,
    keys_of_names,
    name_key,
    names_in_order,
    spellings,
)
from lit_hf.functional.values import MISSING_WORDS
from lit_hf.pretrained.trained_names import is_classifier, names_of, numbers_of

log = logging.getLogger(__name__)
_FLAGS = ({("0",), ("1",)}, {("false",), ("true",)})


def known_names(tables: Sequence[Table], column: str) -> list[str]:
    """The names of the classes that the format of some tables tells; [] where it tells none.

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
        known: names that the format of the other rows tells.
        config: of the model.

    Raises:
        InputError: if neither tells any.
    """
    trained = names_of(config) if is_classifier(config) else []
    readable = {name_key(name) for name in trained}
    if numbers_of(trained) and known == in_class_order(known):
        readable |= set(map(str, range(len(trained))))
    if known and not {name_key(name) for name in known} <= readable:
        return known
    if not trained:
        raise InputError(
            "the classes are not known: set `train_file` or another source of training rows, or "
            "`label_names`."
        )
    return trained


def reading_of_model(config: PreTrainedConfig, task: str, names: Sequence[str]) -> object:
    """What the labels of its training rows are to an exported model of these classes: "names" ….

    Args:
        config: of the model.
        task: of the data.
        names: of the classes in order; of others a model says nothing.
    """
    params = getattr(config, "task_specific_params", None)
    about = params.get(task) if isinstance(params, dict) else None
    is_same = names_of(config) == list(names)
    return about.get("labels_are") if is_same and isinstance(about, dict) else None


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
    tell_missing_words(summary, where)
    return names_in_order(summary.classes, summary.places, where)


def tell_missing_words(summary: ExampleSummary, where: str) -> None:
    """Warn of labels such as "nan", which make a class of the rows that have none."""
    found = {
        label: (count, summary.places[label])
        for label, count in summary.classes.items()
        if label in MISSING_WORDS
    }
    if found:
        log.warning(
            f"{where}: the label {words_found(found)} is a class, though pandas takes such a text "
            "for a missing cell. Where it marks rows without a label, leave their cells empty and "
            "set `on_bad_row: skip`, or remove the rows; where it names a class, list every class "
            "in `label_names`."
        )


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
        is_train: whether these are training rows; of others fewer things can be told.

    Raises:
        InputError: saying what to do.
    """
    first: dict[tuple[str, ...], Sequence[str]] = {}
    for row in labels:
        keys = tuple(name_key(label).casefold() for label in row)
        if len(keys) not in (1, 2) or (set(keys) - {"0", "1"} and set(keys) - {"false", "true"}):
            return
        first.setdefault(keys, row)
    if is_train and names is None and first.keys() in _FLAGS:
        raise InputError(
            f"{where}: every row is {' or '.join(repr(*row) for row in first.values())}, one label "
            "that is on or off, but `problem_type: multi_label` reads lists of labels. Set "
            "`problem_type: single_label`; for several labels list in one column those that a row "
            "has, such as 'joy,anger'; where these are two labels of which each row has one, set "
            "`label_names`."
        )
    is_pair = bool(first) and all(len(keys) == 2 for keys in first)
    in_order = all(keys == tuple(sorted(keys)) for keys in first)  # may truly be the two classes
    if is_pair and len(names or ()) in (0, 2) and (is_train or not in_order):
        shown = " or ".join(f"[{', '.join(row)}]" for row in first.values())
        raise InputError(
            f"{where}: every row is {shown}: these look like flags of two labels that are on or "
            "off, but `problem_type: multi_label` reads lists of labels, of which every row would "
            "have both. List the names of those that are on, such as 'joy' or 'joy,anger', or [] "
            "for none."
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
            "every training row has one label, though `problem_type: multi_label` reads any number "
            "of them. For one class each set `problem_type: single_label`; where a cell holds "
            f"several, set `label_separator` (it is {separator!r})."
        )


def in_order_of_model(found: list[str], config: PreTrainedConfig) -> list[str]:
    """Where a model has trained classes of the same names, put them in its order.

    Numbers for names, as of LABEL_0, tell no order: whether LABEL_2 is the class "2" or the third
    one of a data set, only those who trained it know.
    """
    trained = names_of(config)
    order = {name_key(name).casefold(): index for index, name in enumerate(trained)}
    same = {name_key(name).casefold() for name in found} == order.keys()
    if same and len(order) == len(trained) == len(found) and numbers_of(trained) is None:
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
        form = unicodedata.normalize("NFKC", str(name)).casefold()
        alike.setdefault(" ".join(form.split()), []).append(name)
    several = [_listed(same) for same in alike.values() if len(same) > 1]
    if several:
        log.warning(
            f"classes {'; '.join(several[:5])} differ only in case, spaces or Unicode form. If "
            "they are one, write them alike."
        )


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
