"""What the config of a model says of its classes: their names, and whether they were trained."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from lit_hf.functional.label_cells import name_key

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_CLASSIFIER = re.compile(r"For(Sequence|Image)Classification|BackboneWithHead")


def names_of(config: "PreTrainedConfig") -> list[str]:
    """The names of the classes that a config holds, in order, all different."""
    return ordered_names(cast("Mapping[int | str, str]", config.id2label or {}))


def ordered_names(id2label: Mapping[int | str, str] | Mapping[str, str]) -> list[str]:
    """The names of an `id2label` in the order of their numbers, all different.

    >>> ordered_names({"1": "dog", "0": "cat"})
    ['cat', 'dog']
    """
    pairs = sorted(id2label.items(), key=lambda pair: int(pair[0]))
    return distinct_names([str(name) for _, name in pairs])


def distinct_names(names: Sequence[str]) -> list[str]:
    """Put the number of a class behind a name that several classes have.

    ImageNet's configs have "crane" twice, a bird and a machine. Each of them gets its number, since
    a bare "crane" beside "crane (517)" would be taken for both.

    >>> distinct_names(["crane", "dog", "crane"])
    ['crane (0)', 'dog', 'crane (2)']
    """
    counts = Counter(names)
    taken = set(names)
    found = []
    for number, name in enumerate(names):
        text = name
        while counts[name] > 1 and text in taken:
            text += f" ({number})"
        taken.add(text)
        found.append(text)
    return found


def numbers_of(names: Sequence[str]) -> list[int] | None:
    """The number that each name writes, where the names are numbers 0 to C-1 and no more.

    These are the placeholders of transformers, LABEL_0 and so on, or the numbers alone, in any
    order; None for other names.

    >>> numbers_of(["LABEL_1", "LABEL_0"]), numbers_of(["0", "01"]), numbers_of(["1", "2"])
    ([1, 0], [0, 1], None)
    """
    found = [re.fullmatch(r"(?:label_)?([0-9]+)", name_key(name).casefold()) for name in names]
    if None in found:
        return None
    digits = [match[1] for match in found if match is not None]
    longest = len(str(len(names)))
    numbers = [int(text) for text in digits if len(text) <= longest]
    return numbers if sorted(numbers) == list(range(len(names))) else None


def is_classifier(config: "PreTrainedConfig") -> bool:
    """Whether a config belongs to a model with a head for classes, and not to a bare backbone."""
    return any(_CLASSIFIER.search(kind) for kind in config.architectures or [])
