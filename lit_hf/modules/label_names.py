"""Names of classes: what a trained head means, and whether that is what the data says."""

import logging
from collections.abc import Sequence
from typing import Literal

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import CombinedLoader
from transformers import PreTrainedConfig

from lit_hf.errors import InputError, nearest
from lit_hf.functional.label_cells import name_key
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.data_facts import DataFacts
from lit_hf.pretrained.trained_names import is_classifier, names_of, numbers_of

log = logging.getLogger(__name__)
Fit = Literal["same", "reordered", "unnamed", "other"]


def compare_names(trained: Sequence[str], wanted: Sequence[str]) -> Fit:
    """How the classes of a trained head fit the wanted ones.

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
        ours, theirs = list(map(fold, trained)), list(map(fold, wanted))
        if ours == theirs:
            return "same"
        if sorted(ours) == sorted(theirs):
            return "reordered"
    if (numbers := numbers_of(trained)) and sorted(numbers) == sorted(numbers_of(wanted) or []):
        return "unnamed" if numbers == numbers_of(wanted) else "reordered"
    if len(trained) == len(wanted) and (_are_in_order(trained) or _are_in_order(wanted)):
        return "unnamed"
    return "other"


def _are_in_order(names: Sequence[str]) -> bool:
    """Whether the names are placeholders, each with its own number."""
    return numbers_of(names) == list(range(len(names)))


def _folded(name: str) -> str:
    return name_key(name).casefold()


def keeps_head(
    config: PreTrainedConfig,
    names: Sequence[str],
    model_name: str,
    trainer: Trainer | None = None,
) -> bool:
    """Whether the trained head of a model is of use for the wanted classes.

    Args:
        config: the config of the model, with its own names of classes.
        names: the wanted names in order.
        model_name: Hub id or folder of the model, for messages.
        trainer: what runs the model; None where nothing does.

    Raises:
        InputError: if its classes are the wanted ones in another order, or if they are others and
            the model is not to be trained.
    """
    trained = names_of(config)
    fit = compare_names(trained, names)
    is_base = not is_classifier(config) and _are_in_order(trained)  # it has no head, only defaults
    if is_base:
        return fit != "other"
    if fit == "reordered":
        raise InputError(_other_order(trained, names, model_name))
    if fit == "other" and trainer is not None and trainer.state.fn != "fit":
        raise InputError(
            f"model {model_name!r} has the classes {trained}, the data says {list(names)}: without "
            "a training it cannot answer these. Take the model that was trained on them, or set "
            "`label_names` to the classes of the model in its order."
        )
    if fit == "other":
        log.warning(
            f"model {model_name!r} was trained on the classes {_short(trained)}, wanted are "
            f"{_short(names)}: its last layer is drawn anew."
        )
    if fit == "unnamed" and numbers_of(trained) != numbers_of(names):
        log.warning(f"the classes {_short(names)} are taken to be {_short(trained)} in this order.")
    return fit != "other"


def keeps_given_head(
    config: PreTrainedConfig, names: Sequence[str], model_name: str, trainer: Trainer | None = None
) -> None:
    """Compare the classes of a model that was given, whose head stays, with as many wanted ones.

    Args:
        config: the config of the model, with its own names of classes.
        names: the wanted names in order.
        model_name: where it was loaded from, for messages.
        trainer: what runs the model; None where nothing does.

    Raises:
        InputError: if its classes are the wanted ones in another order, or if they are others and
            the model is not to be trained.
    """
    trained = names_of(config)
    is_trained = trainer is None or trainer.state.fn == "fit"
    if compare_names(trained, names) == "other" and is_trained:
        log.warning(
            f"the given model {model_name!r} has the classes {_short(trained)}, wanted are "
            f"{_short(names)}: these are taken to be those in this order, its head stays."
        )
    else:
        keeps_head(config, names, model_name, trainer)


def _other_order(trained: Sequence[str], names: Sequence[str], model_name: str) -> str:
    """Two orders of the same classes, and what to set."""
    told = (
        f"model {model_name!r} has the classes {list(trained)} in this order, the data says "
        f"{list(names)}."
    )
    numbers = numbers_of(trained)
    if numbers is None or numbers_of(names) is None:
        written = {_folded(name): name for name in names}
        right = [name if name in names else written[_folded(name)] for name in trained]
        return (
            f"{told} Set `label_names: {right}` in the data, so that the trained head keeps its "
            "meaning."
        )
    places = numbers_of(names) or []
    right = [names[places.index(number)] for number in numbers]
    first = next(place for place, name in enumerate(right) if name != names[place])
    return (
        f"{told} If {trained[first]!r} is the class {right[first]!r}, set `label_names: {right}` "
        f"in the data; if it was trained on {names[first]!r}, write the names of the data in their "
        "order into `id2label` of the model's config.json."
    )


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


def names_with_data(trainer: Trainer, stage: str, names: Sequence[str] | None) -> list[str] | None:
    """The names of a module's classes; where it has none, those of the Trainer's data.

    Args:
        trainer: the Trainer, perhaps with a data module.
        stage: what it does; rows to predict know no classes.
        names: the names that the module was given.

    Raises:
        InputError: if both have names, and these are others.
    """
    found = DataFacts(trainer).label_names if stage != "predict" else None
    if found is not None and names is not None:
        remedy = f"{_remedy(stage, found)}."
        check_names(names, found, "the module", remedy)
    return list(names or found or []) or None


def _remedy(stage: str | None, found: Sequence[str]) -> str:
    """What gives module and data the same classes: a trained module keeps those that it has."""
    if stage == "fit":
        return f"Give the module `label_names={list(found)}` when it is made"
    return "Give the data `label_names=module.label_names` (its rows need not have every class)"


def check_loaders(trainer: Trainer, loaders: object, config: PreTrainedConfig) -> None:
    """Refuse loaders of a data module, given without it, whose classes are not those of a model.

    Args:
        trainer: one with a data module has compared that.
        loaders: one of the Trainer's, or a list or dict of them; others than ours know no classes.
        config: that of the model, with the names of its classes.

    Raises:
        InputError: naming both.
    """
    is_alone = DataFacts(trainer).source is None and loaders is not None
    for loader in CombinedLoader(loaders).flattened if is_alone else []:
        made_by = getattr(loader, "collate_fn", None)
        if (found := getattr(made_by, "label_names", None)) is not None:
            remedy = f"{_remedy(trainer.state.fn, found)}, or the Trainer the data module itself."
            check_names(names_of(config), found, "the module", remedy)


def write_names(config: PreTrainedConfig, names: Sequence[str]) -> None:
    """Set number and names of the classes in a config."""
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}


def names_of_trained(config: PreTrainedConfig, names: list[str] | None) -> list[str] | None:
    """The names that the classes of a checkpoint go by: its own, where the data has the same.

    So a checkpoint whose classes are "1" and "2" goes on with them where the data writes "01" and
    "02", in its answers and in its export alike.

    Args:
        config: that of the checkpoint.
        names: those of the data; None where they are not known.

    Raises:
        InputError: if the data has other classes, naming both.
    """
    if names is None:
        return None
    trained = names_of(config)
    remedy = f"Set `label_names: {trained}` in the data."
    check_names(trained, names, "the checkpoint", remedy)
    if trained == names or compare_names(trained, names) != "same":
        return names
    log.warning(
        f"the checkpoint writes the classes {_short(names)} as {_short(trained)}, and so do its "
        "answers."
    )
    return trained


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
    wanted = "`positive_label` is the name of one of two classes, whose F1 is reported"
    if problem_type != "single_label":
        if label is not None:
            raise InputError(
                f"{wanted}; of `problem_type: {problem_type}` there is none. Leave it out."
            )
        return None
    if names is None:
        return label
    if len(names) != 2:
        if label is not None:
            raise InputError(
                f"{wanted}; here are {len(names)} classes ({_short(names)}), and F1 is the mean "
                "over them. Leave it out."
            )
        return None
    if label is None:
        return names[1]
    for fold in (str, name_key, _folded):
        found = [name for name in names if fold(name) == fold(str(label))]
        if len(found) == 1:
            return found[0]
    raise InputError(
        f"`positive_label` is {label!r}, but the classes are {_short(names)}."
        f"{nearest(str(label), names)}"
    )


def _short(names: Sequence[str], limit: int = 6) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(repr(name) for name in names[:limit]) + more
