"""SameTokens: whether the data numbers its tokens as the weights of a module have learnt them."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from lightning.pytorch import Trainer
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from lit_hf.checkpointing.reader import checkpoint_to_come
from lit_hf.errors import InputError
from lit_hf.modules.data_facts import DataFacts
from lit_hf.pretrained.hf_objects import name_of_object
from lit_hf.pretrained.processors import load_tokenizer

_FILE = "tokenizer.json"


class Learnt(Protocol):
    """A module, as far as it says where its weights come from."""

    model_name: str
    pretrained: bool


class SameTokens:
    """Refuses data whose tokenizer is of another model than the weights.

    Another tokenizer of as many or fewer tokens gives numbers that are all in the vocabulary, and
    stand for other tokens. What has one number in both, such as where tokens were added, is right.
    """

    def __init__(self) -> None:
        self._file: bytes | None = None

    def load(self, trainer: Trainer | None, checkpoint: Mapping[str, Any]) -> None:
        """Take the tokenizer that a checkpoint holds, and compare that of the data with it.

        Raises:
            InputError: naming a token of two numbers.
        """
        states = [s for s in checkpoint.values() if isinstance(s, dict) and "processor" in s]
        file = states[0]["processor"].get(_FILE) if states else None
        self._file = None if file is None else np.asarray(file).tobytes()
        if self._file is not None:
            self._compare(trainer, Tokenizer.from_buffer(self._file).get_vocab(), "the checkpoint")

    def check(self, trainer: Trainer, module: Learnt) -> None:
        """Compare the tokenizer of the data with that of the weights, if those are there already.

        Raises:
            InputError: naming a token of two numbers.
        """
        name, other = module.model_name, DataFacts(trainer).model_name
        if checkpoint_to_come(trainer) is not None:
            return
        if self._file is not None:
            self._compare(trainer, Tokenizer.from_buffer(self._file).get_vocab(), "the checkpoint")
        elif module.pretrained and other not in (None, name):
            try:
                learnt = load_tokenizer(name).get_vocab()
            except InputError:  # a model without one of its own
                return
            self._compare(trainer, learnt, f"model {name!r}")

    def _compare(self, trainer: Trainer | None, learnt: Mapping[str, int], whose: str) -> None:
        data = DataFacts(trainer)
        processor: Any = data.processor
        name = data.model_name
        if not hasattr(processor, "get_vocab") or _name_of(processor) != name:
            return  # none, or one of the user's own, set as `data.processor`
        found = processor.get_vocab()
        if others := other_numbers(learnt, found):
            token = others[0]
            raise InputError(
                f"the data has the tokenizer of {name!r}, which gives {len(others)} tokens another "
                f"number than that of {whose}, such as {token!r}: {found[token]} for "
                f"{learnt[token]}. Give the data module the `model_name` of the weights; a "
                "tokenizer of your own that goes with them is set as `data.processor`."
            )


def _name_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """What a data module calls its tokenizer."""
    return name_of_object(tokenizer.name_or_path, type(tokenizer).__name__)


def other_numbers(learnt: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """The tokens that have another number in a second vocabulary, by their number in the first.

    >>> other_numbers({"a": 0, "b": 1, "c": 2}, {"a": 0, "c": 1, "new": 3})
    ['c']
    """
    others = [token for token, number in learnt.items() if found.get(token, number) != number]
    return sorted(others, key=lambda token: learnt[token])
