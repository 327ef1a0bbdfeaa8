"""ExtractiveQA: a question and a context of any length to the place of the answer.

Letters: B questions in a batch, W windows of all of them, V windows that are run, L tokens.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from transformers import AutoModelForQuestionAnswering, PreTrainedConfig

from lit_hf.batches import LossTerms, Prediction, QuestionBatch, SpanBatch, SpanOutput
from lit_hf.distributed.fsdp import is_sharded, passes
from lit_hf.errors import InputError
from lit_hf.functional.precision import precise
from lit_hf.functional.unpacking import Unpack
from lit_hf.metrics.answer_score import AnswerScore
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.decoding.spans import SpanCandidates, best_texts, decode_spans, predict_spans
from lit_hf.modules.losses import LossFunction, chosen_windows, own_or_smoothed, span_terms
from lit_hf.modules.optimizers import OptimizerCallable
from lit_hf.modules.question_answering import (
    Answers,
    QuestionAnswering,
    QuestionSettings,
    as_questions,
)
from lit_hf.modules.stage_metrics import Stage
from lit_hf.modules.usage import Usage, span_usage
from lit_hf.modules.validated import ValidatedNumber
from lit_hf.pretrained.hf_objects import ModelSource
from lit_hf.pretrained.label_names import check_number_of_given
from lit_hf.pretrained.models import Auto

log = logging.getLogger(__name__)
_THRESHOLD = "best_threshold._extra_state"  # among the weights of a checkpoint


class ExtractiveQA(QuestionAnswering):
    """Answers questions with a piece of the context (`AutoModelForQuestionAnswering`).

    Training teaches the first and the last token of the answer, as in
    https://arxiv.org/abs/1810.04805; a window that does not hold the answer whole teaches "no
    answer". The answer is the span of the largest start plus end logit over all windows.

    Args:
        model_name: Hub id or folder of the model; or the model itself, or its config.
        max_answer_length: longest answer in tokens.
        num_best: answers given for each question.
        no_answer_threshold: for questions without answer (SQuAD 2.0): the answer is "" where "no
            answer" is by more than this likelier than the best one. Each validation of a training
            finds the value with the best F1, which checkpoint and export keep and `validate`,
            `test` and `predict` use, unless given another one than the training was given. None
            always answers (SQuAD 1.1).
        label_smoothing: share of the target that goes to all other tokens alike, while training.
        empty_window_weight: weight in the training loss of a window without the answer, where
            another one holds it; 0 leaves such windows out.
        settings: those of `HFModule`, `language` and `max_windows`.
    """

    task = "extractive_qa"
    auto_class: Auto = AutoModelForQuestionAnswering
    model_kind = "one `…ForQuestionAnswering`"

    def __init__(
        self,
        model_name: ModelSource,
        max_answer_length: int = 30,
        num_best: int = 20,
        no_answer_threshold: float | None = None,
        *,
        label_smoothing: float = 0.0,
        empty_window_weight: float = 1.0,
        optimizer: OptimizerCallable = lambda params: AdamW(
            params, lr=5e-5, weight_decay=0.01, fused=True
        ),
        **settings: Unpack[QuestionSettings],
    ) -> None:
        super().__init__(model_name, optimizer=optimizer, **settings)
        if max_answer_length < 1 or num_best < 1 or not 0 <= empty_window_weight <= 1:
            raise InputError(
                "Expected `max_answer_length` and `num_best` to be at least 1, and "
                f"`empty_window_weight` to lie in 0..1, but got {max_answer_length}, {num_best} "
                f"and {empty_window_weight}."
            )
        self.max_answer_length, self.num_best = max_answer_length, num_best
        self.no_answer_threshold = self._trained_threshold = no_answer_threshold
        self.loss = own_or_smoothed(self.loss, label_smoothing)
        if isinstance(self.loss, nn.CrossEntropyLoss) and self.loss.weight is not None:
            raise InputError(
                "`loss` weighs classes, but answers are places in a window: leave `weight` out."
            )
        self.label_smoothing = label_smoothing
        self.empty_window_weight = empty_window_weight
        self.best_threshold = ValidatedNumber(no_answer_threshold or 0.0)

    @property
    def threshold(self) -> float | None:
        """What the last validation of a training found; None where every question is answered."""
        return None if self.no_answer_threshold is None else self.best_threshold.value

    @property
    def current_threshold(self) -> float | None:
        """By what answers go: the given threshold while training, later the best that was found."""
        is_fit = self._trainer is not None and self._trainer.state.fn == "fit"
        return self.no_answer_threshold if is_fit else self.threshold

    # The model.

    def setup(self, stage: str) -> None:
        """Warn of right answers that would never be given."""
        super().setup(stage)
        data = DataFacts(self.trainer)
        if self.no_answer_threshold is None and data.has_unanswerable:
            log.warning(
                "there are questions without answer, but the model always answers: set "
                "`no_answer_threshold: 0` in the model."
            )
        lengths = data.answer_lengths
        num_longer = sum(count for n, count in lengths.items() if n > self.max_answer_length)
        if num_longer:
            log.warning(
                f"{num_longer} of {lengths.total()} answers are longer than `max_answer_length` "
                f"{self.max_answer_length} tokens, the longest has {max(lengths)}: they are "
                "taught, but never given; set a larger one in the model."
            )

    def complete_config(self, config: PreTrainedConfig) -> None:
        """Two outputs a token: start and end."""
        if self.given.model is not None:
            check_number_of_given(config, 2, self.model_name)
        config.num_labels = 2

    @classmethod
    def takes(cls, config: PreTrainedConfig) -> bool:
        """Whether it is trained to answer questions."""
        return any(kind.endswith("QuestionAnswering") for kind in config.architectures or [])

    def usage(self, inputs: Mapping[str, object], folder: Path) -> Usage:
        """How its export is used."""
        return span_usage(inputs, self.settings())

    def settings(self) -> dict[str, object]:
        """What the answers depend on besides the weights."""
        given = self._trained_threshold  # other values than this are asked for later
        return {
            **super().settings(),
            "max_answer_length": self.max_answer_length,
            "num_best": self.num_best,
            "no_answer_threshold": self.threshold,
            **({} if given is None else {"given_no_answer_threshold": given}),
        }

    def take_settings(self, known: Mapping[str, Any]) -> None:
        """Take the threshold that was found, where none is given but that of the training."""
        found, trained = (known.get(f"{given}no_answer_threshold") for given in ("", "given_"))
        self._trained_threshold = trained
        if isinstance(found, int | float) and self.no_answer_threshold in (None, trained):
            self.best_threshold.value = float(found)
            if self.no_answer_threshold is None:
                self.no_answer_threshold = float(found)

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Keep the given threshold beside the best one, which stands among the weights."""
        super().on_save_checkpoint(checkpoint)
        known = cast("dict[str, object]", checkpoint["lit_hf"])
        known["no_answer_threshold"] = self.no_answer_threshold

    def take_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the best threshold that was found, unless another one is given now."""
        super().take_checkpoint(checkpoint)
        given, known = self.no_answer_threshold, checkpoint.get("lit_hf") or {}
        if given is None or given == known.get("no_answer_threshold"):
            return
        self.best_threshold.value = given  # where a strategy has taken the weights already
        weights = checkpoint.get("state_dict") or {}
        if _THRESHOLD in weights:
            weights[_THRESHOLD] = torch.full_like(weights[_THRESHOLD], given)

    # The contract.

    def run(self, batch: SpanBatch, stage: Stage) -> SpanOutput:
        """The logits, in several passes where there are more windows than are run at once."""
        batch, is_training = as_questions(batch), stage == "train"
        limit = self.max_windows if is_training else len(batch["window_of"])
        windows = chosen_windows(batch["first_token"] == batch["no_answer_token"], limit)
        inputs = {k: v for k, v in self.model_inputs(batch).items() if isinstance(v, Tensor)}
        parts = []
        in_step = not is_training and is_sharded(self._trainer)
        for part, is_extra in passes(windows, self.max_windows, in_step):
            found = self(cast("SpanBatch", {name: value[part] for name, value in inputs.items()}))
            if not is_extra:
                parts.append((precise(found.start_logits), precise(found.end_logits)))
        starts, ends = (torch.cat(logits) for logits in zip(*parts, strict=True))
        return {"windows": windows, "start_logits": starts, "end_logits": ends}

    def loss_terms(
        self, batch: SpanBatch, output: SpanOutput, loss: LossFunction | None
    ) -> LossTerms:
        """The loss of each window that was run; evaluations weigh all alike."""
        empty_weight = 1.0 if loss is None else self.empty_window_weight
        return span_terms(loss, as_questions(batch), output, empty_weight)

    def decode(
        self, batch: SpanBatch, output: SpanOutput, rows: Sequence[int] | None = None
    ) -> SpanCandidates:
        """The likeliest answers to each question, and the margins of "no answer"."""
        return decode_spans(batch, output, self.max_answer_length, self.num_best, rows)

    def decide(self, scores: SpanCandidates) -> list[Prediction]:
        """The likeliest answer, or "" where "no answer" is likelier by more than the threshold."""
        return predict_spans(scores, self.current_threshold)

    # Metrics.

    def metric_inputs(
        self, metric: nn.Module, batch: QuestionBatch, scores: Answers
    ) -> tuple[object, ...]:
        """The answers, and for exact match and F1 by threshold the margins of "no answer"."""
        if not isinstance(metric, AnswerScore):
            return super().metric_inputs(metric, batch, scores)
        found = cast("SpanCandidates", scores)
        margins = () if self.no_answer_threshold is None else (found.margins,)
        return best_texts(found), batch["answers"], *margins

    def on_validation_epoch_start(self) -> None:
        """Score at the threshold that answers go by."""
        self._answer_score("val").no_answer_threshold = self.current_threshold

    def on_test_epoch_start(self) -> None:
        """Score at the threshold that answers go by."""
        self._answer_score("test").no_answer_threshold = self.current_threshold

    def _answer_score(self, stage: Stage) -> AnswerScore:
        return cast("AnswerScore", self.metrics_of(stage).own["answers"])

    def scores(self, stage: Stage) -> dict[str, Tensor]:
        """The scores of an evaluation by name; while training the best threshold is kept."""
        values, trainer = super().scores(stage), self.trainer
        if "best_f1_thresh" in values and trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.best_threshold.value = float(values["best_f1_thresh"])
        return values
