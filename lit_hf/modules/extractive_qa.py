"""ExtractiveQA: a question and a context of any length to the place of the answer.

Letters: B questions in a batch, W windows of all of them, V windows that are run, L tokens.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torchmetrics import SumMetric
from transformers import AutoModelForQuestionAnswering, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import QuestionAnsweringModelOutput

from lit_hf.batches import Prediction, Sample, SpanBatch, SpanOutput, StepOutput, without_copies
from lit_hf.errors import InputError
from lit_hf.functional.answers import Language
from lit_hf.functional.precision import precise
from lit_hf.metrics.answer_score import AnswerScore
from lit_hf.modules.answer_checks import warn_of_answers
from lit_hf.modules.base import HFModule
from lit_hf.modules.extracts import (
    Extracts,
    best_texts,
    find_extracts,
    of_questions,
    tell_extracts,
)
from lit_hf.modules.loading import ConfigValue, from_config, from_pretrained
from lit_hf.modules.no_answer import note_threshold, take_threshold
from lit_hf.modules.optimizers import OptimizerCallable, SchedulerName
from lit_hf.modules.question_samples import show_questions
from lit_hf.modules.sharding import is_sharded, passes
from lit_hf.modules.span_loss import chosen_windows, span_loss
from lit_hf.modules.stage_scores import Stage
from lit_hf.modules.validated import ValidatedNumber


class ExtractiveQA(HFModule):
    """Answers questions with a piece of the context (`AutoModelForQuestionAnswering`).

    Training teaches the first and the last token of the answer, as in
    https://arxiv.org/abs/1810.04805; a window that does not hold the answer whole teaches "no
    answer". The answer is the span of the largest start plus end logit over all windows.

    Args:
        model_name: Hub id or folder of the model.
        max_answer_length: longest answer in tokens.
        num_best: answers told of each question.
        no_answer_threshold: for questions without answer (SQuAD 2.0): the answer is "" where "no
            answer" is by more than this likelier than the best one. Each validation of a training
            finds the value with the best F1, which checkpoint and export keep and `validate`,
            `test` and `predict` use, unless given another one. None always answers (SQuAD 1.1).
        language: how answers are compared: "en" as SQuAD does, "ko" as KorQuAD, "mixed" for
            Chinese as MLQA, "plain" for others.
        label_smoothing: share of the target that goes to all other tokens alike, while training.
        empty_window_weight: weight in the training loss of a window without the answer, where
            another one holds it; 0 leaves such windows out.
        max_windows: windows run at once. An evaluation runs more in several passes; a training
            batch of more leaves some of those without the answer out.
        pretrained: load the weights; false builds the model from its config with random weights.
        config_overrides: values that replace those of the model's config, such as
            `num_hidden_layers: 2`.
        optimizer: makes the optimizer from the parameters; biases and norms get no weight decay.
        scheduler: how the learning rate falls after its warm-up: "linear" or "cosine" to 0, or not
            at all: "constant_with_warmup", or "constant" without one; it changes with every step.
        warmup_ratio: share of all steps over which the rate rises from 0; 0.1 unless given.
    """

    task = "extractive_qa"

    def __init__(
        self,
        model_name: str,
        max_answer_length: int = 30,
        num_best: int = 20,
        no_answer_threshold: float | None = None,
        language: Language = "en",
        label_smoothing: float = 0.0,
        empty_window_weight: float = 1.0,
        max_windows: int = 64,
        pretrained: bool = True,
        config_overrides: dict[str, ConfigValue] | None = None,
        optimizer: OptimizerCallable = lambda params: AdamW(
            params, lr=5e-5, weight_decay=0.01, fused=True
        ),
        scheduler: SchedulerName = "linear",
        warmup_ratio: float | None = None,
    ) -> None:
        super().__init__(
            model_name, pretrained, config_overrides, optimizer, scheduler, warmup_ratio
        )
        counts = {
            "max_answer_length": max_answer_length,
            "num_best": num_best,
            "max_windows": max_windows,
        }
        for name, value in counts.items():
            if value < 1:
                raise InputError(f"Expected `{name}` to be at least 1, but got {value}.")
        shares = {"label_smoothing": label_smoothing, "empty_window_weight": empty_window_weight}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise InputError(f"Expected `{name}` to lie in 0..1, but got {share}.")
        self.max_answer_length = max_answer_length
        self.num_best = num_best
        self.no_answer_threshold = no_answer_threshold
        self.language: Language = language
        self.label_smoothing = label_smoothing
        self.empty_window_weight = empty_window_weight
        self.max_windows = max_windows
        self.best_threshold = ValidatedNumber(no_answer_threshold or 0.0)
        self.save_hyperparameters(
            {
                "model_name": self.model_name,
                **counts,
                **shares,
                "no_answer_threshold": no_answer_threshold,
                "language": language,
                "pretrained": pretrained,
                "config_overrides": self.config_overrides,
                "scheduler": scheduler,
                "warmup_ratio": self.warmup_ratio,
            }
        )

    @property
    def threshold(self) -> float | None:
        """What the last validation of a training found; None where every question is answered."""
        return None if self.no_answer_threshold is None else self.best_threshold.value

    # The model.

    def setup(self, stage: str) -> None:
        """Warn of answers that would never be given."""
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        warn_of_answers(data, self.no_answer_threshold, self.max_answer_length)

    def complete_config(self, config: PreTrainedConfig) -> None:
        """Two outputs a token: start and end."""
        config.num_labels = 2

    def load_model(self, config: PreTrainedConfig, pretrained: bool) -> PreTrainedModel:
        """The ready model, in single precision."""
        if pretrained:
            return from_pretrained(AutoModelForQuestionAnswering, self.model_name, config)
        return from_config(AutoModelForQuestionAnswering, config)

    def setup_scores(self) -> None:
        """Make the metrics."""
        stages = ("val", "test")
        settings = (self.language, self.no_answer_threshold)
        self.metrics = nn.ModuleDict({stage: AnswerScore(*settings) for stage in stages})
        sums = {stage: SumMetric(nan_strategy="disable") for stage in stages}
        self.loss_sums = nn.ModuleDict(sums)

    def settings(self) -> dict[str, object]:
        """What the answers depend on besides the weights."""
        return {
            "max_answer_length": self.max_answer_length,
            "num_best": self.num_best,
            "no_answer_threshold": self.threshold,
        }

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Keep beside the best threshold the one that was given."""
        super().on_save_checkpoint(checkpoint)
        note_threshold(checkpoint, self.no_answer_threshold)

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Take the best threshold that was found, unless another one is given now."""
        super().on_load_checkpoint(checkpoint)
        take_threshold(checkpoint, self.no_answer_threshold, self.best_threshold)

    def forward(
        self,
        batch: SpanBatch,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> QuestionAnsweringModelOutput:
        """Run the model on all windows of a batch.

        Args:
            batch: `input_ids` [W, L], `attention_mask` [W, L] and perhaps `token_type_ids`.
            output_attentions: also give the attention of each layer, [W, heads, L, L].
            output_hidden_states: also give the embeddings and the output of each layer.

        Returns:
            `start_logits` and `end_logits` [W, L], and what else was asked for.
        """
        output = self.run(
            cast("Mapping[str, object]", batch), output_attentions, output_hidden_states
        )
        return cast("QuestionAnsweringModelOutput", output)

    # The step.

    def step(self, batch: Mapping[str, object], stage: Stage) -> SpanOutput:
        """Loss and logits of a batch; counts it in the scores of `val` and `test`."""
        questions = cast("SpanBatch", batch)
        output = self._run(questions, stage == "train")
        plain = (0.0, 1.0)  # evaluations have one loss, so that runs can be compared
        given = (self.label_smoothing, self.empty_window_weight) if stage == "train" else plain
        found = span_loss(questions, output, *given)
        output["loss"], output["losses"], output["weight"] = found
        output["start_logits"] = output["start_logits"].detach()
        output["end_logits"] = output["end_logits"].detach()
        if stage != "train":
            self._count(questions, output, stage)
        return output

    def _run(self, batch: SpanBatch, is_training: bool) -> SpanOutput:
        """The logits, in several passes where there are more windows than are run at once."""
        limit = self.max_windows if is_training else len(batch["window_of"])
        windows = chosen_windows(batch["first_token"] == batch["no_answer_token"], limit)
        inputs = {k: v for k, v in batch.items() if k in self.input_names and isinstance(v, Tensor)}
        parts = []
        in_step = not is_training and is_sharded(self._trainer)
        for part, is_extra in passes(windows, self.max_windows, in_step):
            found = self(cast("SpanBatch", {name: value[part] for name, value in inputs.items()}))
            if not is_extra:
                parts.append((precise(found.start_logits), precise(found.end_logits)))
        starts, ends = (torch.cat(logits) for logits in zip(*parts, strict=True))
        return {
            "loss": starts.new_zeros(()),
            "losses": starts.new_zeros(0),
            "windows": windows,
            "start_logits": starts,
            "end_logits": ends,
        }

    # Scores and answers.

    def _count(self, batch: SpanBatch, output: SpanOutput, stage: Stage) -> None:
        found = self.extracts(batch, output)
        margins = None if self.no_answer_threshold is None else found.margins
        score = cast("AnswerScore", self.metrics[stage])
        score.update(best_texts(batch, found), batch["answers"], margins, batch.get("is_padding"))
        losses = without_copies(batch, output["losses"].tolist())
        cast("SumMetric", self.loss_sums[stage]).update(sum(losses))

    def extracts(self, batch: SpanBatch, output: SpanOutput) -> Extracts:
        """The likeliest answers."""
        return find_extracts(batch, output, self.max_answer_length, self.num_best)

    def on_validation_epoch_start(self) -> None:
        """While training, score at the given threshold; later at the best one that was found."""
        is_fit = self.trainer.state.fn == "fit"
        score = cast("AnswerScore", self.metrics["val"])
        score.no_answer_threshold = self.no_answer_threshold if is_fit else self.threshold

    def on_test_epoch_start(self) -> None:
        """Score at the best threshold that validations found."""
        cast("AnswerScore", self.metrics["test"]).no_answer_threshold = self.threshold

    def score_names(self) -> list[str]:
        """Names of the scores that an evaluation logs."""
        return ["loss", *cast("AnswerScore", self.metrics["val"]).names]

    def scores(self, stage: Stage) -> dict[str, Tensor]:
        """The scores of an evaluation by name; while training the best threshold is kept."""
        score, loss = cast("AnswerScore", self.metrics[stage]), self.loss_sums[stage]
        values = score.compute()
        values["loss"] = cast("SumMetric", loss).compute() / values["num_examples"]
        trainer = self.trainer
        if "best_f1_thresh" in values and trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.best_threshold.value = float(values["best_f1_thresh"])
        return values

    def predict_step(self, batch: Mapping[str, object], batch_idx: int) -> list[Prediction]:
        """The answer to each question that is no padding copy, with its row number."""
        questions = cast("SpanBatch", batch)
        found = self.extracts(questions, self._run(questions, is_training=False))
        return without_copies(batch, tell_extracts(questions, found, self.threshold))

    def samples(
        self,
        batch: Mapping[str, object],
        output: StepOutput,
        rows: Sequence[int],
        decode: Callable[[Sequence[int]], str],
    ) -> list[Sample]:
        """Show questions with the context around the answer, prediction and truth marked."""
        if not rows:
            return []
        questions = cast("SpanBatch", batch)
        found = self.extracts(questions, of_questions(questions, cast("SpanOutput", output), rows))
        told = tell_extracts(questions, found, self.no_answer_threshold)
        answers = [told[row] for row in rows]
        return show_questions(questions, output["losses"], rows, answers, self.language)
