"""GenerativeQA: a question and a context of any length to an answer in the model's own words.

Letters: B questions in a batch, W windows of all of them, V windows run at once, L tokens of a
window, A tokens of an answer, T tokens in the vocabulary.
"""

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.optim import AdamW
from transformers import AutoModelForSeq2SeqLM, PreTrainedConfig, PreTrainedModel

from lit_hf.batches import AnswerOutput, LossTerms, Prediction, PromptBatch
from lit_hf.errors import InputError
from lit_hf.functional.answers import Language
from lit_hf.functional.sequences import IGNORED, token_losses
from lit_hf.metrics.added import MetricLike
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.generation import (
    GenerationValue,
    check_precision,
    check_seq2seq,
    check_settings,
    default_generation,
    follow_data,
    plain_generation,
    set_generation,
    warn_of_cut_answers,
)
from lit_hf.modules.loading import ConfigValue, from_config, from_pretrained
from lit_hf.modules.losses import LossFunction, token_terms
from lit_hf.modules.optimizers import OptimizerCallable, SchedulerName
from lit_hf.modules.question_answering import QuestionAnswering
from lit_hf.modules.sharding import is_sharded
from lit_hf.modules.span_loss import chosen_windows
from lit_hf.modules.stage_scores import Stage
from lit_hf.modules.written import (
    WrittenAnswers,
    answer_windows,
    likeliest_tokens,
    predict_written,
    write_greedily,
    written_answers,
)


class GenerativeQA(QuestionAnswering):
    """Answers questions in its own words (`AutoModelForSeq2SeqLM`: T5, BART and similar models).

    Training teaches the tokens of the first right answer, after a prompt with question and context,
    as in https://arxiv.org/abs/1910.10683; a window of a longer context that does not hold the
    answer teaches to write nothing. An answer is written for each window, and of those that are not
    empty the one with the largest mean log probability of its tokens is taken.

    The loss is the mean over all answer tokens of an optimizer step, also of accumulated batches
    and of several processes.

    Args:
        model_name: Hub id or folder of the model.
        generation: how answers are written, such as `num_beams: 4`; without it one beam, and as
            many `max_new_tokens` as the data's `max_answer_length`, 32 where that is not known.
            What the model's folder says does not count, but for tokens. Checkpoint and export keep
            all of it.
        language: how answers are compared: "en" as SQuAD does, "ko" as KorQuAD, "mixed" for
            Chinese as MLQA, "plain" for others.
        max_windows: windows run at once. An evaluation runs more in several passes; a training
            batch of more leaves some of those without the answer out.
        pretrained: load the weights; false builds the model from its config with random weights.
        config_overrides: values that replace those of the model's config, such as
            `num_layers: 2`.
        optimizer: makes the optimizer from the parameters; biases and norms get no weight decay.
        scheduler: how the learning rate falls after its warm-up: "linear" or "cosine" to 0, or not
            at all: "constant_with_warmup", or "constant" without one; it changes with every step.
        warmup_ratio: share of all steps over which the rate rises from 0; 0.1 unless given.
        loss: the loss of the training in place of the task's own: `(input, target)` to a number for
            each row, such as `torch.nn.CrossEntropyLoss`.
        metrics: more metrics by name, logged as `val/name` and `test/name`: objects of torchmetrics
            classes, or functions of all predictions and labels.
    """

    task = "generative_qa"
    input_names = ("input_ids", "attention_mask", "labels")

    def __init__(
        self,
        model_name: str,
        generation: dict[str, GenerationValue] | None = None,
        language: Language = "en",
        max_windows: int = 64,
        pretrained: bool = True,
        config_overrides: dict[str, ConfigValue] | None = None,
        optimizer: OptimizerCallable = lambda params: AdamW(
            params, lr=3e-4, weight_decay=0.01, fused=True
        ),
        scheduler: SchedulerName = "linear",
        warmup_ratio: float | None = None,
        loss: LossFunction | None = None,
        metrics: dict[str, MetricLike] | None = None,
    ) -> None:
        super().__init__(
            *(model_name, pretrained, config_overrides, optimizer, scheduler, warmup_ratio),
            *(loss, metrics),
        )
        if not isinstance(max_windows, int) or max_windows < 1:
            raise InputError(f"Expected `max_windows` to be at least 1, but got {max_windows}.")
        self.generation = check_settings(generation)
        self.language: Language = language
        self.max_windows = max_windows
        self._length: int | None = None  # of the longest answer that data has taught
        self.save_hyperparameters(
            {
                "model_name": self.model_name,
                "generation": self.generation,
                "language": language,
                "max_windows": max_windows,
                "pretrained": pretrained,
                "config_overrides": self.config_overrides,
                "scheduler": scheduler,
                "warmup_ratio": self.warmup_ratio,
            }
        )

    # The model.

    def configure_model(self) -> None:
        """Load or build the model once; refuse a precision in which its numbers overflow."""
        super().configure_model()
        if self._trainer is not None:
            check_precision(self._trainer, self.model.config)

    @classmethod
    def takes(cls, config: PreTrainedConfig) -> bool:
        """Whether it reads and writes."""
        kinds = config.architectures or []
        is_writing = any(kind.endswith("ForConditionalGeneration") for kind in kinds)
        return bool(config.is_encoder_decoder) and is_writing

    def load_model(self, config: PreTrainedConfig, pretrained: bool) -> PreTrainedModel:
        """The model in single precision, with the settings by which it writes."""
        check_seq2seq(config)
        load = partial(from_pretrained, AutoModelForSeq2SeqLM, self.model_name)
        model = load(config) if pretrained else from_config(AutoModelForSeq2SeqLM, config)
        defaults = default_generation(config, self._length, self._trainer)
        set_generation(model, {**defaults, **self.generation})
        return model

    def fit_to_data(self, stage: str) -> None:
        """Write as long answers as the data teaches; a trained module keeps what it was taught."""
        super().fit_to_data(stage)
        if stage == "fit" or self._length is None:
            model = self.model if "model" in self._modules else None
            self._length = follow_data(self.trainer, model, self.generation, self._length)

    def settings(self) -> dict[str, object]:
        """What the answers depend on besides the weights."""
        return {"generation": plain_generation(self.model)}

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Keep all settings of the generation beside config and weights."""
        super().on_save_checkpoint(checkpoint)
        cast("dict[str, object]", checkpoint["lit_hf"])["generation"] = plain_generation(self.model)

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Take these settings again, where no others were given."""
        super().on_load_checkpoint(checkpoint)
        about = cast("dict[str, dict[str, GenerationValue]]", checkpoint["lit_hf"])
        set_generation(self.model, {**about["generation"], **self.generation})
        self._length = self.model.generation_config.max_new_tokens

    # The contract.

    def run(self, batch: PromptBatch, stage: Stage) -> AnswerOutput:
        """In training the logits of the taught tokens, else an answer to each window."""
        batch = as_questions(batch)
        if stage != "train" and self.is_complete(batch):
            found = answer_windows(self.model, batch, self.max_windows, self._in_step())
            windows = torch.arange(len(batch["window_of"]), device=found.scores.device)
            return {
                "windows": windows,
                "token_losses": found.losses,
                "tokens": found.tokens,
                "scores": found.scores,
            }
        limit = self.max_windows if stage == "train" else len(batch["window_of"])
        windows = chosen_windows(~batch["holds"], limit)
        part = {name: cast("dict[str, Tensor]", batch)[name][windows] for name in self.input_names}
        return {"windows": windows, "logits": self(cast("PromptBatch", part)).logits}

    def loss_terms(
        self, batch: PromptBatch, output: AnswerOutput, loss: LossFunction | None
    ) -> LossTerms:
        """The summed loss of the tokens that each window teaches, and how many they are."""
        batch, windows = as_questions(batch), output["windows"]
        labels = batch["labels"][windows]
        counts = (labels != IGNORED).sum(1)
        if "token_losses" in output:
            losses = output["token_losses"]
        elif loss is None:
            losses = token_losses(output["logits"], labels).sum(1)
        else:
            losses, counts = token_terms(loss, output["logits"], labels)
        return LossTerms(losses, counts.to(losses.dtype), batch["window_of"][windows])

    def decode(
        self, batch: PromptBatch, output: AnswerOutput, rows: Sequence[int] | None = None
    ) -> list[WrittenAnswers]:
        """The answers to all windows of each question.

        In training it is the greedy answer to the window that holds the right one; under strategies
        that shard the weights, where one process cannot write alone, the likeliest token at each
        place of the right answer.
        """
        asked = range(len(batch["context"])) if rows is None else rows
        if "tokens" in output:
            answers = written_answers(batch, output, self.tokenizer)
            return [answers[row] for row in asked]
        if self._in_step():
            return likeliest_tokens(batch, output, asked, self.decode_tokens)
        return write_greedily(self.model, batch, asked, self.tokenizer)

    def decide(self, scores: list[WrittenAnswers]) -> list[Prediction]:
        """The best answer to each question."""
        return [predict_written(answers) for answers in scores]

    def on_fit_start(self) -> None:
        """Check data and monitor."""
        super().on_fit_start()
        warn_of_cut_answers(DataFacts(self.trainer), self.model)

    def _in_step(self) -> bool:
        return is_sharded(self._trainer)


def as_questions(batch: PromptBatch) -> PromptBatch:
    """A batch of questions; of an ordinary batch each prompt is a question of its own."""
    if "window_of" in batch:
        return batch
    ordinary = cast("dict[str, Tensor]", batch)
    ids = ordinary["input_ids"]
    found: dict[str, Tensor] = {
        **ordinary,
        "attention_mask": ordinary.get("attention_mask", torch.ones_like(ids)),
        "window_of": torch.arange(len(ids), device=ids.device),
        "holds": torch.ones_like(ids[:, 0], dtype=torch.bool),
    }
    return cast("PromptBatch", found)
