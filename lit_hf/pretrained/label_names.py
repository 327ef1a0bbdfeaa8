"""Names and number of classes: what a trained head means, and whether the data says the same."""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast

from lit_hf.errors import InputError, nearest
from lit_hf.functional.label_cells import name_key
from lit_hf.functional.labels import ProblemType

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

log = logging.getLogger(__name__)
Fit = Literal["same", "reordered", "unnamed", "other"]
_CLASSIFIER = re.compile(r"For(Sequence|Image)Classification|BackboneWithHead")


# The classes of a config.


def names_of(config: "PreTrainedConfig") -> list[str]:
    """The names of the classes that a config holds, in order, all different."""
    return ordered_names(cast("Mapping[int | str, str]", config.id2label or {}))


def ordered_names(id2label: Mapping[int | str, str] | Mapping[str, str]) -> list[str]:
    """The names of an `id2label` in the order of their numbers, all different.

    ImageNet's configs have "crane" twice, a bird and a machine: each gets its number behind it.

    >>> ordered_names({"1": "dog", "0": "crane", "2": "crane"})
    ['crane (0)', 'dog', 'crane (2)']
    """
    pairs = sorted((int(number), str(name)) for number, name in id2label.items())
    counts = Counter(name for _, name in pairs)
    return [name if counts[name] == 1 else f"{name} ({number})" for number, name in pairs]


def numbers_of(names: Sequence[str]) -> list[int] | None:
    """The number that each name writes, where the names are numbers 0 to C-1 and no more.

    These are the placeholders of transformers, LABEL_0 and so on, or the numbers alone, in any
    order; None for other names.

    >>> numbers_of(["LABEL_1", "LABEL_0"]), numbers_of(["0", "01"]), numbers_of(["1", "2"])
    ([1, 0], [0, 1], None)
    """
    found = [re.fullmatch(r"(?:label_)?([0-9]{1,9})", _folded(name)) for name in names]
    numbers = [int(match[1]) for match in found if match is not None]
    return numbers if sorted(numbers) == list(range(len(names))) else None


def is_classifier(config: "PreTrainedConfig") -> bool:
    """Whether a config belongs to a model with a head for classes, and not to a bare backbone."""
    return any(_CLASSIFIER.search(kind) for kind in config.architectures or [])


def write_names(config: "PreTrainedConfig", names: Sequence[str]) -> None:
    """Set number and names of the classes in a config."""
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}


# Comparing.


def compare_names(trained: Sequence[str], expected: Sequence[str]) -> Fit:
    """How the classes of a trained head fit the expected ones.

    Returns:
        "same" in the same order, capitals and spelling of numbers aside; "reordered" the same in
        another order, where LABEL_2 is the same as 2; "unnamed" equally many, but one side has
        numbers for names; "other" otherwise.

    >>> compare_names(["Joy", "Anger"], ["anger", "joy"]), compare_names(["1", "2"], ["01", "02"])
    ('reordered', 'same')
    >>> compare_names(["LABEL_0", "LABEL_1"], ["anger", "joy"])
    'unnamed'
    """
    for fold in (str, name_key, _folded):
        ours, theirs = list(map(fold, trained)), list(map(fold, expected))
        if ours == theirs:
            return "same"
        if sorted(ours) == sorted(theirs):
            return "reordered"
    if len(trained) != len(expected):
        return "other"
    numbers, order = (numbers_of(trained), numbers_of(expected)), list(range(len(trained)))
    if None not in numbers:
        return "unnamed" if numbers[0] == numbers[1] else "reordered"
    return "unnamed" if order in numbers else "other"


def _folded(name: str) -> str:
    return name_key(name).casefold()


def check_names(trained: Sequence[str], names: Sequence[str], owner: str, remedy: str) -> None:
    """Refuse a checkpoint or a model whose classes are not those of the data.

    Args:
        trained: its names in order.
        names: those of the data.
        owner: who has the trained ones, for the message.
        remedy: what to do, for the message.

    Raises:
        InputError: naming both.
    """
    if compare_names(trained, names) not in ("same", "unnamed"):
        raise InputError(
            f"{owner} has the classes {list(trained)}, the data says {list(names)}. {remedy}"
        )


def keeps_head(
    config: "PreTrainedConfig",
    names: Sequence[str],
    model_name: str,
    will_train: bool = True,
    is_given: bool = False,
) -> bool:
    """Whether the trained head of a model is of use for the expected classes.

    Args:
        config: the config of the model, with its own names of classes.
        names: the expected names in order.
        model_name: Hub id or folder of the model, for messages.
        will_train: whether other classes can be learnt.
        is_given: the model is an object, whose head stays, with as many classes as expected.

    Raises:
        InputError: if its classes are the expected ones in another order, or if they are others and
            the model is not to be trained.
    """
    trained = names_of(config)
    fit = compare_names(trained, names)
    if not is_classifier(config) and numbers_of(trained) == list(range(len(trained))):
        return fit != "other"  # a backbone without head has the defaults of transformers
    if fit == "reordered" or (fit == "other" and not will_train):
        raise InputError(
            f"model {model_name!r} has the classes {trained} in this order, the data says "
            f"{list(names)}. Set `label_names` in the data to the same classes in the order of the "
            "model. If the order of the data is the one that it was trained with, write that into "
            "`id2label` of its config.json; for other classes, train it first."
        )
    if fit == "other":
        what = "are taken to be those in this order" if is_given else "get a re-initialised head"
        log.warning(
            f"model {model_name!r} was trained on the classes {_short(trained)}: those of the "
            f"data, {_short(names)}, {what}."
        )
    elif fit == "unnamed" and numbers_of(trained) != numbers_of(names):
        log.warning(f"the classes {_short(names)} are taken to be {_short(trained)} in this order.")
    return fit != "other"


def names_of_trained(config: "PreTrainedConfig", names: list[str] | None) -> list[str] | None:
    """The names that the classes of a checkpoint go by: its own, where the data has the same.

    So a checkpoint whose classes are "1" and "2" keeps them where the data writes "01" and "02".

    Args:
        config: that of the checkpoint.
        names: those of the data; None where they are not known.

    Raises:
        InputError: if the data has other classes, naming both.
    """
    if names is None:
        return None
    trained = names_of(config)
    check_names(trained, names, "the checkpoint", f"Set `label_names: {trained}` in the data.")
    return trained if compare_names(trained, names) == "same" else names


def positive_class(
    label: str | None, names: Sequence[str] | None, problem_type: ProblemType
) -> str | None:
    """The positive class of two, as the classes write it; the last one where none is chosen.

    Args:
        label: the name that was chosen, spelt as in `compare_names`.
        names: of the classes in order; None where they are not known yet.
        problem_type: what the labels are.

    Raises:
        InputError: if one is chosen that is none of the classes, or where there are not two.

    >>> positive_class(None, ["no", "yes"], "single_label")
    'yes'
    >>> positive_class("01", ["1", "2"], "single_label")
    '1'
    """
    is_binary = problem_type == "single_label" and (names is None or len(names) == 2)
    if label is not None and not is_binary:
        raise InputError(
            "`positive_label` names one of two classes, whose F1 is reported, but these are "
            f"{len(names or [])} classes of `problem_type: {problem_type}`. Leave it out."
        )
    if names is None or not is_binary:
        return label
    if label is None:
        return names[1]
    for fold in (str, name_key, _folded):
        found = [name for name in names if fold(name) == fold(label)]
        if len(found) == 1:
            return found[0]
    raise InputError(
        f"`positive_label` is {label!r}, but the classes are {_short(names)}."
        f"{nearest(label, names)}"
    )


# Their number.


def check_number(
    number: int | None, names: Sequence[str] | None, problem_type: ProblemType
) -> None:
    """Refuse a `num_labels` that is none, or is not that of the names.

    Raises:
        InputError: saying what to set.
    """
    if number is None:
        return
    if (number == 1) is not (problem_type == "regression") or number < 1:
        raise InputError(
            "Expected `num_labels` to be at least 2, or 1 with `problem_type: regression`, but "
            f"got {number}."
        )
    if names is not None and len(names) != number:
        raise InputError(
            f"`num_labels` is {number}, but there are {len(names)} classes: {list(names)[:10]}. "
            "Leave `num_labels` out, or set the same number."
        )


def check_number_of_given(config: "PreTrainedConfig", number: int, name: str) -> None:
    """Refuse a given model with another number of outputs than there are classes.

    Raises:
        InputError: naming both numbers.
    """
    if (found := len(names_of(config))) != number:
        raise InputError(
            f"the given model {name!r} has {found} outputs, but there are {number} classes. Load "
            f"it with `num_labels={number}`, or give its name in place of the model for a new head."
        )


def _short(names: Sequence[str], limit: int = 6) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(repr(name) for name in names[:limit]) + more
