"""GenerativeQA: a question and a context of any length to an answer in the model's own words.

Letters: B questions in a batch, W windows of all of them, V windows run at once, L tokens of a
window, A tokens of an answer, T tokens in the vocabulary.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import AdamW
from transformers import AutoModelForSeq2SeqLM, PreTrainedConfig, PreTrainedModel

from lit_hf.batches import AnswerOutput, LossTerms, Prediction, PromptBatch
from lit_hf.distributed.fsdp import is_sharded
from lit_hf.functional.sequences import IGNORED, token_losses
from lit_hf.functional.unpacking import Unpack
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.decoding.generated import (
    GeneratedAnswers,
    answer_windows,
    generated_answers,
    likeliest_tokens,
    predict_generated,
    write_greedily,
)
from lit_hf.modules.decoding.generation import (
    GenerationValue,
    check_precision,
    check_seq2seq,
    default_generation,
    plain_generation,
    set_generation,
)
from lit_hf.modules.losses import LossFunction, chosen_windows, token_terms
from lit_hf.modules.optimizers import OptimizerCallable
from lit_hf.modules.question_answering import QuestionAnswering, QuestionSettings, as_questions
from lit_hf.modules.stage_metrics import Stage
from lit_hf.modules.usage import Usage, answer_usage
from lit_hf.pretrained.hf_objects import ModelSource
from lit_hf.pretrained.models import Auto

log = logging.getLogger(__name__)


class GenerativeQA(QuestionAnswering):
    """Answers questions in its own words (`AutoModelForSeq2SeqLM`: T5, BART and similar models).

    Training teaches the tokens of the first right answer, after a prompt with question and context,
    as in https://arxiv.org/abs/1910.10683; a window of a longer context that does not hold the
    answer teaches to write nothing. An answer is written for each window, and of those that are not
    empty the one with the largest mean log probability of its tokens is taken.

    The loss is the mean over all answer tokens of an optimizer step, also of accumulated batches
    and of several processes.

    Args:
        model_name: Hub id or folder of the model; or the model itself, or its config.
        generation: how answers are written, such as `num_beams: 4`; without it one beam, and as
            many `max_new_tokens` as the data's `max_answer_length`, 32 where that is not known.
            What the model's folder says does not count, but for tokens. Checkpoint and export keep
            all of it.
        settings: those of `HFModule`, `language` and `max_windows`.
    """

    task = "generative_qa"
    auto_class: Auto = AutoModelForSeq2SeqLM
    model_kind = "one `…ForConditionalGeneration` that reads and writes"
    input_names = ("input_ids", "attention_mask", "labels")

    def __init__(
        self,
        model_name: ModelSource,
        generation: dict[str, GenerationValue] | None = None,
        *,
        optimizer: OptimizerCallable = lambda params: AdamW(
            params, lr=3e-4, weight_decay=0.01, fused=True
        ),
        **settings: Unpack[QuestionSettings],
    ) -> None:
        super().__init__(model_name, optimizer=optimizer, **settings)
        self.generation = dict(generation or {})
        self._exported: dict[str, GenerationValue] = {}  # what the export of the weights says
        self._length: int | None = None  # of the longest answer that data has taught

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
        return self._writing(super().load_model(config, pretrained))

    def usage(self, inputs: Mapping[str, object], folder: Path) -> Usage:
        """How its export is used."""
        return answer_usage(inputs)

    def use_model(self, model: PreTrainedModel) -> PreTrainedModel:
        """The given model, with the settings by which it writes."""
        return self._writing(super().use_model(model))

    def _writing(self, model: PreTrainedModel) -> PreTrainedModel:
        defaults = default_generation(model.config, self._length, self._trainer)
        set_generation(model, {**defaults, **self._exported, **self.generation})
        return model

    def connect_data(self, stage: str) -> None:
        """Write as long answers as the data teaches; a trained module keeps what it was taught."""
        super().connect_data(stage)
        if stage != "fit" and self._length is not None:
            return
        self._length = DataFacts(self.trainer).max_answer_length or self._length
        if "model" in self._modules:
            known = default_generation(self.model.config, self._length, self.trainer)
            for name in known.keys() - {*self.generation, "num_beams"}:
                setattr(self.model.generation_config, name, known[name])

    def settings(self) -> dict[str, object]:
        """What the answers depend on besides the weights."""
        return {**super().settings(), "generation": plain_generation(self.model)}

    def take_settings(self, known: Mapping[str, Any]) -> None:
        """Write as the export says, where nothing else is given."""
        self._exported = dict(known.get("generation") or {})
        self._length = self._exported.get("max_new_tokens", self._length)  # type: ignore[assignment]  # a number
        if "model" in self._modules:
            current = plain_generation(self.model)
            set_generation(self.model, {**current, **self._exported, **self.generation})

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Keep all settings of the generation beside config and weights."""
        super().on_save_checkpoint(checkpoint)
        cast("dict[str, object]", checkpoint["lit_hf"])["generation"] = plain_generation(self.model)

    def take_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Take these settings again, where no others were given."""
        super().take_checkpoint(checkpoint)
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
        inputs = cast("dict[str, Tensor]", self.model_inputs(batch))
        part = {name: value[windows] for name, value in inputs.items()}
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
    ) -> list[GeneratedAnswers]:
        """The answers to all windows of each question.

        In training it is the greedy answer to the window that holds the right one; under strategies
        that shard the weights, where one process cannot write alone, the likeliest token at each
        place of the right answer.
        """
        asked = range(len(batch["context"])) if rows is None else rows
        if "tokens" in output:
            answers = generated_answers(batch, output, self.tokenizer)
            return [answers[row] for row in asked]
        if self._in_step():
            return likeliest_tokens(batch, output, asked, self.decode_tokens)
        return write_greedily(self.model, batch, asked, self.tokenizer)

    def decide(self, scores: list[GeneratedAnswers]) -> list[Prediction]:
        """The best answer to each question."""
        return [predict_generated(answers) for answers in scores]

    def on_fit_start(self) -> None:
        """Warn where longer answers are taught than are written: nobody sees why they score low."""
        super().on_fit_start()
        taught = DataFacts(self.trainer).max_answer_length or 0
        written = self.model.generation_config.max_new_tokens
        if written is not None and written < taught:
            log.warning(
                f"answers of up to {taught} tokens are taught (`max_answer_length`), but at most "
                f"{written} are written (`generation.max_new_tokens`): longer ones are cut, in "
                "scores and predictions. Set both alike."
            )

    def _in_step(self) -> bool:
        return is_sharded(self._trainer)
