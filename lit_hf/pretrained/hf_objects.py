"""What may stand in place of a model's name: a model, a config, a tokenizer, an image processor.

For a type checker these are unions; at run time each is a text, which a command line takes as it is
typed, with no help on the classes of transformers.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import (
        BaseImageProcessor,
        PreTrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )

    ModelSource = str | PreTrainedModel | PreTrainedConfig
    ProcessorSource = str | PreTrainedTokenizerBase | BaseImageProcessor
else:
    ModelSource = ProcessorSource = str

_IN_MEMORY = " (in memory)"


def name_of_object(name_or_path: object, kind: str) -> str:
    """What an object is called: where it was loaded from, or what it is, which is no Hub id.

    Args:
        name_or_path: as transformers keeps it; empty or None where it was loaded from nowhere.
        kind: such as the type of a model.

    >>> name_of_object("org/bert", "bert"), name_of_object("", "bert")
    ('org/bert', 'bert (in memory)')
    """
    return str(name_or_path or f"{kind}{_IN_MEMORY}")


def is_in_memory(name: str) -> bool:
    """Whether this is what an object is called that was loaded from nowhere.

    >>> is_in_memory("bert (in memory)"), is_in_memory("org/bert")
    (True, False)
    """
    return name.endswith(_IN_MEMORY)
