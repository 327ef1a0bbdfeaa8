"""QuestionAnswering: what both kinds of answers share.

Letters: B questions in a batch, W windows of all of them, L tokens.
"""

from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from lit_hf.batches import Prediction, QuestionBatch, Shown
from lit_hf.errors import InputError
from lit_hf.functional.answers import Language
from lit_hf.functional.unpacking import Unpack
from lit_hf.metrics.answer_score import AnswerScore
from lit_hf.modules.base import HFModule
from lit_hf.modules.decoding.generated import GeneratedAnswers
from lit_hf.modules.decoding.spans import SpanCandidates
from lit_hf.modules.samples import show_question
from lit_hf.modules.shared_settings import ModuleSettings, ScheduledSettings
from lit_hf.pretrained.hf_objects import ModelSource

Answers = SpanCandidates | list[GeneratedAnswers]
BatchT = TypeVar("BatchT", bound=QuestionBatch)


class QuestionSettings(ScheduledSettings, total=False):
    """What classes of either kind of answers hand on: each has an optimizer of its own."""

    language: Language
    max_windows: int


class QuestionAnswering(HFModule):
    """A model that answers questions about contexts: the base of extractive and generative ones.

    Args:
        model_name: Hub id or folder of the model; or the model itself, or its config.
        language: how answers are compared: "en" as SQuAD does, "ko" as KorQuAD, "mixed" for
            Chinese as MLQA, "plain" for others.
        max_windows: windows run at once. An evaluation runs more in several passes; a training
            batch of more leaves some of those without the answer out.
        settings: those of `HFModule`.

    Attributes:
        no_answer_threshold: of a model that may give none.
    """

    no_answer_threshold: float | None = None

    def __init__(
        self,
        model_name: ModelSource,
        language: Language = "en",
        max_windows: int = 64,
        **settings: Unpack[ModuleSettings],
    ) -> None:
        super().__init__(model_name, **settings)
        if not isinstance(max_windows, int) or max_windows < 1:
            raise InputError(f"Expected `max_windows` to be at least 1, but got {max_windows}.")
        self.language: Language = language
        self.max_windows = max_windows

    def configure_metrics(self) -> dict[str, Metric]:
        """Exact match and F1, as the official scripts have them."""
        return {"answers": AnswerScore(self.language, self.no_answer_threshold)}

    def metric_inputs(
        self, metric: nn.Module, batch: QuestionBatch, scores: Answers
    ) -> tuple[object, ...]:
        """B texts, and for each all right answers, a list of texts."""
        texts = [str(answer["prediction"]) for answer in self.decide(scores)]
        return texts, batch["answers"]

    def show(self, batch: QuestionBatch, row: int, prediction: Prediction) -> Shown:
        """Question, the context around the answer, prediction and truth."""
        return show_question(batch, row, prediction, self.language)

    def truth(self, batch: QuestionBatch, row: int) -> list[str]:
        """All right answers to a question; none where it has none."""
        return list(batch["answers"][row])

    def is_complete(self, batch: QuestionBatch) -> bool:
        """Whether it has the questions' texts; ordinary batches of windows have tokens only."""
        return "context" in batch

    def num_examples(self, batch: QuestionBatch) -> int:
        """B; of ordinary batches each window is an example."""
        return len(batch["context"] if self.is_complete(batch) else batch["input_ids"])


def as_questions(batch: BatchT) -> BatchT:
    """A batch of questions; of an ordinary batch each window is a question of its own.

    Args:
        batch: as the data module makes it, or as transformers has it, [W, L]. Its windows all teach
            an answer; places of 0, the first token, are "no answer", those of L or more an answer
            that is cut off.
    """
    if "window_of" in batch:
        return batch
    found = dict(cast("dict[str, Tensor]", batch))
    ids, first = found["input_ids"], found["input_ids"][:, 0]
    found.setdefault("attention_mask", torch.ones_like(ids))
    found["window_of"] = torch.arange(len(ids), device=ids.device)
    found |= {"no_answer_token": torch.zeros_like(first), "holds": torch.ones_like(first) == 1}
    if "start_positions" in found:
        found["first_token"] = found["start_positions"].clamp(0, ids.shape[1])
        found["last_token"] = found["end_positions"].clamp(0, ids.shape[1])
    return cast("BatchT", found)
