"""How many classes a classifier has, as it was given, and as its data and its model have it."""

from collections.abc import Sequence

from transformers import PreTrainedConfig

from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.pretrained.trained_names import names_of


def check_number(
    number: int | None, names: Sequence[str] | None, problem_type: ProblemType
) -> None:
    """Refuse a number of classes that is none, or is not that of their names.

    Args:
        number: as it was given; None where it was not.
        names: as they were given; None where they were not.
        problem_type: what the labels are.

    Raises:
        InputError: saying what to set.
    """
    if number is None:
        return
    is_one = problem_type == "regression"
    if not isinstance(number, int) or isinstance(number, bool) or (number == 1) is not is_one:
        wanted = "be 1 (a regression has one number)" if is_one else "be at least 2"
        hint = "" if is_one else " For a number to predict set `problem_type: regression`."
        raise InputError(f"Expected `num_labels` to {wanted}, but got {number!r}.{hint}")
    if number < 1:
        raise InputError(f"Expected `num_labels` to be at least 2, but got {number}.")
    if names is not None and len(names) != number:
        raise InputError(
            f"`num_labels` is {number}, but `label_names` (those of the data, where it names them) "
            f"are {len(names)}: {list(names)[:10]}. Leave `num_labels` out, or set the same number."
        )


def check_number_of_data(number: int | None, names: Sequence[str] | None) -> None:
    """Refuse data with another number of classes than a module was given.

    Raises:
        InputError: naming both.
    """
    if None not in (number, names) and number != len(names or ()):
        raise InputError(
            f"`num_labels` is {number}, but the data has {len(names or ())} classes: "
            f"{list(names or ())[:10]}. Set the number of the data, or leave `num_labels` out."
        )


def check_number_of_given(config: PreTrainedConfig, names: Sequence[str], name: str) -> None:
    """Refuse a given model with another number of outputs than there are classes.

    Args:
        config: of the model.
        names: of the classes.
        name: of the model.

    Raises:
        InputError: naming both.
    """
    if (found := len(names_of(config))) != len(names):
        raise InputError(
            f"the given model {name!r} has {found} outputs, but there are {len(names)} classes: "
            f"{list(names)[:10]}. It is trained as it is: load it with `num_labels={len(names)}`, "
            "or give its name in place of the model for a new head."
        )


def numbered_names(number: int) -> list[str]:
    """The names that transformers gives to classes without.

    >>> numbered_names(2)
    ['LABEL_0', 'LABEL_1']
    """
    return [f"LABEL_{index}" for index in range(number)]
