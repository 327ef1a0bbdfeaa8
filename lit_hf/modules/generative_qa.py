"""GenerativeQA: a question and a context of any length to an answer in the model's own words.

Letters: B questions in a batch, W windows of all of them, V windows run at once, L tokens of a
window, A tokens of an answer, T tokens in the vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

from torch import Tensor, nn
from torch.optim import AdamW
from torchmetrics import SumMetric
from transformers import (
    AutoModelForSeq2SeqLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_outputs import Seq2SeqLMOutput

from lit_hf.batches import AnswerOutput, Prediction, PromptBatch, Sample, StepOutput, without_copies
from lit_hf.errors import InputError
from lit_hf.functional.answers import Language
from lit_hf.functional.sequences import IGNORED, token_losses
from lit_hf.metrics.answer_score import AnswerScore
from lit_hf.modules.base import HFModule
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
from lit_hf.modules.optimizers import OptimizerCallable, SchedulerName
from lit_hf.modules.question_samples import show_questions
from lit_hf.modules.sharding import is_sharded
from lit_hf.modules.span_loss import chosen_windows
from lit_hf.modules.stage_scores import Stage
from lit_hf.modules.step_mean import mean_losses
from lit_hf.modules.written import answer_windows, tell_likeliest, tell_written, write_greedily
from lit_hf.processors import load_tokenizer


class GenerativeQA(HFModule):
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
    ) -> None:
        super().__init__(
            model_name, pretrained, config_overrides, optimizer, scheduler, warmup_ratio
        )
        if not isinstance(max_windows, int) or max_windows < 1:
            raise InputError(f"Expected `max_windows` to be at least 1, but got {max_windows}.")
        self.generation = check_settings(generation)
        self.language: Language = language
        self.max_windows = max_windows
        self._tokenizer: PreTrainedTokenizerBase | None = None
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

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """What turns tokens into text: that of the data, or the one of `model_name`."""
        data = getattr(self._trainer, "datamodule", None)
        if (processor := getattr(data, "processor", None)) is not None:
            return cast("PreTrainedTokenizerBase", processor)
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self.model_name)
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer

    # The model.

    def configure_model(self) -> None:
        """Load or build the model once; refuse a precision in which its numbers overflow."""
        super().configure_model()
        if self._trainer is not None:
            check_precision(self._trainer, self.model.config)

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

    def setup_scores(self) -> None:
        """Make the metrics."""
        stages = ("val", "test")
        self.metrics = nn.ModuleDict({stage: AnswerScore(self.language) for stage in stages})
        names = [f"{stage}_{name}" for stage in stages for name in ("loss", "tokens")]
        self.sums = nn.ModuleDict({name: SumMetric(nan_strategy="disable") for name in names})

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

    def forward(
        self,
        batch: PromptBatch,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> Seq2SeqLMOutput:
        """Run the model on prompts and the answers to them.

        Args:
            batch: `input_ids` [V, L], `attention_mask` [V, L] and `labels` [V, A].
            output_attentions: also give the attention of each layer.
            output_hidden_states: also give the embeddings and the output of each layer.

        Returns:
            `logits` [V, A, T], and what else was asked for.
        """
        out = self.run(cast("Mapping[str, object]", batch), output_attentions, output_hidden_states)
        return cast("Seq2SeqLMOutput", out)

    # The step.

    def step(self, batch: Mapping[str, object], stage: Stage) -> AnswerOutput:
        """Loss of a batch, and logits or answers; counts it in the scores of `val` and `test`."""
        questions = cast("PromptBatch", batch)
        return self._teach(questions) if stage == "train" else self._evaluate(questions, stage)

    def _teach(self, batch: PromptBatch) -> AnswerOutput:
        """The loss of the tokens that the windows teach."""
        num_taught = (batch["labels"] != IGNORED).sum(1)
        windows = chosen_windows(~batch["holds"], self.max_windows)
        labels = batch["labels"][windows]
        part = {name: cast("dict[str, Tensor]", batch)[name][windows] for name in self.input_names}
        logits = self(cast("PromptBatch", part)).logits
        losses = token_losses(logits, labels).sum(1)
        counts, owners = num_taught[windows], batch["window_of"][windows]
        return {
            **mean_losses(losses, counts, owners, len(batch["context"])),
            "windows": windows,
            "logits": logits.detach(),
        }

    def on_fit_start(self) -> None:
        """Check data and monitor."""
        super().on_fit_start()
        warn_of_cut_answers(getattr(self.trainer, "datamodule", None), self.model)

    def _evaluate(self, batch: PromptBatch, stage: Stage) -> AnswerOutput:
        found = answer_windows(self.model, batch, self.max_windows, self._in_step())
        answers = tell_written(batch, found, self.tokenizer)
        texts = [str(answer["prediction"]) for answer in answers]
        score = cast("AnswerScore", self.metrics[stage])
        score.update(texts, batch["answers"], is_padding=batch.get("is_padding"))
        counts, size = (batch["labels"] != IGNORED).sum(1), len(batch["context"])
        for name, values in (("loss", found.losses), ("tokens", counts)):
            sums = values.new_zeros(size).index_add(0, batch["window_of"], values)
            self._sum(stage, name).update(sum(without_copies(batch, sums.tolist())))
        return {**mean_losses(found.losses, counts, batch["window_of"], size), "answers": answers}

    def _sum(self, stage: Stage, name: str) -> SumMetric:
        return cast("SumMetric", self.sums[f"{stage}_{name}"])

    def _in_step(self) -> bool:
        return is_sharded(self._trainer)

    # Scores and answers.

    def score_names(self) -> list[str]:
        """Names of the scores that an evaluation logs."""
        return ["loss", *cast("AnswerScore", self.metrics["val"]).names]

    def scores(self, stage: Stage) -> dict[str, Tensor]:
        """The scores of an evaluation by name; `loss` is the mean over tokens."""
        score = cast("AnswerScore", self.metrics[stage])
        loss, tokens = self._sum(stage, "loss"), self._sum(stage, "tokens")
        return {**score.compute(), "loss": loss.compute() / tokens.compute()}

    def predict_step(self, batch: Mapping[str, object], batch_idx: int) -> list[Prediction]:
        """The answer to each question that is no padding copy, with its row number."""
        questions = cast("PromptBatch", {k: v for k, v in batch.items() if k != "labels"})
        found = answer_windows(self.model, questions, self.max_windows, self._in_step())
        return without_copies(batch, tell_written(questions, found, self.tokenizer))

    def samples(
        self,
        batch: Mapping[str, object],
        output: StepOutput,
        rows: Sequence[int],
        decode: Callable[[Sequence[int]], str],
    ) -> list[Sample]:
        """Show questions with the context around the answer, and what the model writes.

        In training that is the greedy answer to the window that holds the right one; under
        strategies that shard the weights, where one process cannot write alone, the likeliest token
        at each place of the right answer.
        """
        if not rows:
            return []
        questions, found = cast("PromptBatch", batch), cast("AnswerOutput", output)
        if "answers" in found:
            answers = [found["answers"][row] for row in rows]
        elif self._in_step():
            answers = tell_likeliest(questions, found, rows, decode)
        else:
            answers = write_greedily(self.model, questions, rows, self.tokenizer)
        return show_questions(questions, output["losses"], rows, answers, self.language)
