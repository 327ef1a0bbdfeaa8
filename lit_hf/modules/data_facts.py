"""DataFacts: what a module learns from the data of its Trainer, whoever has written it."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from transformers import BaseImageProcessor, PreTrainedTokenizerBase

from lit_hf.functional.labels import ProblemType
from lit_hf.functional.pixels import PixelSettings

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

Processor = PreTrainedTokenizerBase | BaseImageProcessor


class DataFacts:
    """What the data of a Trainer knows, each looked up when it is asked for; None where it is not.

    Args:
        trainer: perhaps with a data module, of ours or of anybody's.

    Attributes:
        source: the data module itself; None where loaders are given alone, or nothing runs.
    """

    def __init__(self, trainer: "Trainer | None") -> None:
        self.source: Any = getattr(trainer, "datamodule", None)

    def _known(self, name: str) -> Any:  # noqa: ANN401 - of a class of anybody's
        return getattr(self.source, name, None)

    @property
    def task(self) -> str | None:
        """The task that the data is for."""
        return cast("str | None", self._known("task"))

    @property
    def model_name(self) -> str | None:
        """Hub id or folder of the model whose tokenizer or image processor prepares the rows."""
        return cast("str | None", self._known("model_name"))

    @property
    def processor(self) -> Processor | None:
        """The tokenizer or image processor."""
        return cast("Processor | None", self._known("processor"))

    @property
    def label_names(self) -> list[str] | None:
        """Names of the classes in order; reads the training rows if no names were given."""
        return cast("list[str] | None", self._known("label_names"))

    @property
    def labels_are(self) -> str | None:
        """Whether labels are the "names" of the classes or their "numbers"."""
        return cast("str | None", self._known("labels_are"))

    @property
    def problem_type(self) -> ProblemType | None:
        """What the labels are."""
        return cast("ProblemType | None", self._known("problem_type"))

    @property
    def pixels(self) -> PixelSettings | None:
        """What is done with images."""
        return cast("PixelSettings | None", self._known("pixels"))

    @property
    def has_unanswerable(self) -> bool:
        """Whether there are questions without answer."""
        return bool(self._known("has_unanswerable"))

    @property
    def answer_lengths(self) -> Counter[int]:
        """How many answers that stand in their contexts have how many tokens."""
        return cast("Counter[int]", self._known("answer_lengths") or Counter())

    @property
    def max_answer_length(self) -> int | None:
        """Longest answer in tokens that is taught."""
        return cast("int | None", self._known("max_answer_length"))

    @property
    def inputs(self) -> Mapping[str, object]:
        """How rows become inputs; {} where the data does not say."""
        if self.task is None or self._known("describe") is None:
            return {}
        found = self.source.describe().get("inputs")
        return found if isinstance(found, Mapping) else {}
