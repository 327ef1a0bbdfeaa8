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
        task: the task that the data is for.
        model_name: Hub id or folder of the model whose tokenizer or image processor prepares rows.
        processor: the tokenizer or image processor.
        label_names: names of the classes in order; reads the training rows if none were given.
        labels_are: whether labels are the "names" of the classes or their "numbers".
        problem_type: what the labels are.
        pixels: what is done with images.
        has_unanswerable: whether there are questions without answer.
        max_answer_length: longest answer in tokens that is taught.
    """

    task: str | None
    model_name: str | None
    processor: Processor | None
    label_names: list[str] | None
    labels_are: str | None
    problem_type: ProblemType | None
    pixels: PixelSettings | None
    has_unanswerable: bool | None
    max_answer_length: int | None

    def __init__(self, trainer: "Trainer | None") -> None:
        self.source: Any = getattr(trainer, "datamodule", None)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of a class of anybody's
        if name not in DataFacts.__annotations__:
            raise AttributeError(name)
        return getattr(self.source, name, None)

    @property
    def answer_lengths(self) -> Counter[int]:
        """How many answers that stand in their contexts have how many tokens."""
        return cast("Counter[int]", getattr(self.source, "answer_lengths", Counter()))

    @property
    def inputs(self) -> Mapping[str, object]:
        """How rows become inputs; {} where the data does not say."""
        if self.task is None or not hasattr(self.source, "describe"):
            return {}
        found = self.source.describe().get("inputs")
        return found if isinstance(found, Mapping) else {}
