"""The model whose tokenizer or image processor prepares rows, by its name or by that object."""

import copy
import os
from typing import TYPE_CHECKING, Literal, TypeVar

from transformers import BaseImageProcessor, PreTrainedConfig, PreTrainedTokenizerBase

from lit_hf.errors import InputError
from lit_hf.pretrained.configs import load_config
from lit_hf.pretrained.hf_objects import ProcessorSource, name_of_object
from lit_hf.pretrained.image_processors import load_image_processor
from lit_hf.pretrained.positions import positions_of
from lit_hf.pretrained.tokenizers import check_vocabulary, load_tokenizer, prepare

if TYPE_CHECKING:
    Processor = PreTrainedTokenizerBase | BaseImageProcessor

KindT = TypeVar("KindT")


class ModelOfData:
    """What a data module knows of the model that it prepares rows for.

    Attributes:
        model_name: Hub id or folder; of an object where it was loaded from.
        given: tokenizer or image processor that was given in place of a name. It stays as it is:
            a copy is used.
    """

    model_name: str
    given: "Processor | None" = None
    _unknown = ""  # a name that has no config

    def take_model(self, source: ProcessorSource) -> None:
        """Take the name of a model, or its tokenizer or image processor.

        Raises:
            InputError: if it is anything else.
        """
        found: object = source
        if isinstance(found, str | os.PathLike):
            self.model_name = str(found)
        elif isinstance(found, PreTrainedTokenizerBase | BaseImageProcessor):
            place = getattr(found, "name_or_path", None)
            self.given, self.model_name = found, name_of_object(place, type(found).__name__)
        else:
            raise InputError(
                f"{type(self).__name__}: expected a Hub id or a folder, or a tokenizer or image "
                f"processor of transformers, but got a {type(found).__name__}."
            )

    @property
    def model_config(self) -> PreTrainedConfig:
        """The config of the model; an empty one of a given object that lies beside none."""
        if self.given is not None and self.model_name == self._unknown:
            return PreTrainedConfig()
        try:
            return load_config(self.model_name)
        except InputError:
            if self.given is None:
                raise
            self._unknown = self.model_name
            return PreTrainedConfig()

    def max_positions(self, part: Literal["encoder", "decoder"] = "encoder") -> int | None:
        """How many tokens the model takes at most; None where any model may be meant."""
        return positions_of(self.model_config, part) if self.given is None else None

    def check_tokens(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Refuse a tokenizer that knows more tokens than the model; of a given one the module does.

        Raises:
            InputError: naming both numbers.
        """
        if self.given is None:
            check_vocabulary(tokenizer, self.model_config)


def tokenizer_from(given: object, model_name: str) -> PreTrainedTokenizerBase:
    """A copy of a tokenizer that was given, as one that is loaded; the one of a name without it.

    Raises:
        InputError: if something else was given, or it cannot be used.
    """
    if given is None:
        return load_tokenizer(model_name)
    tokenizer = _copy_of(given, PreTrainedTokenizerBase)
    try:
        prepare(tokenizer, type(given).__name__)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"the tokenizer {type(given).__name__}: {error}") from error
    return tokenizer


def image_processor_of(given: object, model_name: str) -> BaseImageProcessor:
    """A copy of an image processor that was given; the one of a name without it.

    Raises:
        InputError: if something else was given.
    """
    return (
        load_image_processor(model_name) if given is None else _copy_of(given, BaseImageProcessor)
    )


def _copy_of(given: object, kind: type[KindT]) -> KindT:
    if not isinstance(given, kind):
        raise InputError(f"expected a {kind.__name__}, but got a {type(given).__name__}.")
    return copy.deepcopy(given)
