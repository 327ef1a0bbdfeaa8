"""Answers that a model writes: one for each window, the best of a question, in plain types.

Letters: B questions in a batch, W windows of all of them, V windows run at once, L tokens of a
window, A tokens of an answer.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import BaseModelOutput

from lit_hf.batches import AnswerOutput, Plain, Prediction, PromptBatch
from lit_hf.distributed.fsdp import passes
from lit_hf.errors import InputError
from lit_hf.functional.sequences import IGNORED, mean_log_probabilities, token_losses, until_end
from lit_hf.modules.decoding.generation import ends_of, plain_generation
from lit_hf.modules.modes import evaluating

GeneratedAnswers = list[dict[str, Plain]]
"""The answers to a question, of all windows of its context, the best first."""


class WindowAnswers(NamedTuple):
    """What a model writes for the windows of a batch.

    Attributes:
        tokens: W answers, -100 after their end.
        scores: [W] mean log probability of the answer's tokens.
        losses: [W] summed cross entropy of the tokens that a window teaches; 0 where it teaches
            nothing.
    """

    tokens: list[list[int]]
    scores: Tensor
    losses: Tensor


@torch.no_grad()
def answer_windows(
    model: PreTrainedModel, batch: PromptBatch, max_windows: int, in_step: bool
) -> WindowAnswers:
    """Write an answer for each window of a batch, and say how likely it is.

    Args:
        model: a model that reads and writes, in evaluation mode.
        batch: the questions; losses are found where it has `labels`.
        max_windows: V, windows run at once.
        in_step: whether all processes have to run equally often, however few windows they have.
    """
    windows = torch.arange(len(batch["window_of"]), device=batch["input_ids"].device)
    found = []
    for part, is_extra in passes(windows, max_windows, in_step):
        answers = _answer(model, batch, part, in_step)
        if not is_extra:  # which keeps the processes in step
            found.append(answers)
    return WindowAnswers(
        [tokens for answers in found for tokens in answers.tokens],
        torch.cat([answers.scores for answers in found]),
        torch.cat([answers.losses for answers in found]),
    )


def _answer(
    model: PreTrainedModel, batch: PromptBatch, part: Tensor, in_step: bool
) -> WindowAnswers:
    """Write for some of the windows; the prompt is read once, whatever follows."""
    ids, mask = batch["input_ids"][part], batch["attention_mask"][part]
    # The whole model reads, since it gathers the weights where processes share them; without right
    # answers any token does for labels.
    labels = batch["labels"][part] if "labels" in batch else ids[:, :1]
    output = model(input_ids=ids, attention_mask=mask, labels=labels)
    losses = torch.zeros(len(part), device=mask.device)
    if "labels" in batch:
        losses = token_losses(output.logits, labels).sum(1)
    # Two objects: `generate` repeats what is in the first one for each beam.
    read, again = (BaseModelOutput(output.encoder_last_hidden_state) for _ in range(2))
    reading = {"encoder_outputs": read, "synced_gpus": in_step}
    inputs = {"input_ids": ids, "attention_mask": mask, **reading}
    # Without the token that begins all answers, [V, A].
    tokens = until_end(generate(model, inputs)[:, 1:], ends_of(model))
    # Once more over the answer: beams and penalties change the scores of `generate`.
    logits = model(encoder_outputs=again, attention_mask=mask, labels=tokens).logits
    return WindowAnswers(tokens.tolist(), mean_log_probabilities(logits, tokens), losses)


def generate(model: PreTrainedModel, inputs: Mapping[str, object]) -> Tensor:
    """Let a model write.

    Raises:
        InputError: if its settings cannot be had together.
    """
    try:
        return cast("Callable[..., Tensor]", model.generate)(**inputs)
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"the model cannot write by its settings {plain_generation(model)} "
            f"({' '.join(str(error).split())[:300]}): change `generation`."
        ) from error


def generated_answers(
    batch: PromptBatch, output: AnswerOutput, tokenizer: PreTrainedTokenizerBase
) -> list[GeneratedAnswers]:
    """The answers that were written for the windows of each question, the best first.

    An answer goes before one that is empty; otherwise the larger score goes first.

    Args:
        batch: the questions.
        output: with `tokens` and `scores` of all windows.
        tokenizer: what turns tokens into text.

    Returns:
        Of each answer `text`, `score`, the mean log probability of its tokens, `probability`, the
        exponential of that, and `start` and `end` of the part of the context it was written from.
    """
    answers: list[GeneratedAnswers] = [[] for _ in batch["context"]]
    windows = zip(
        batch["window_of"].tolist(),
        _texts(output["tokens"], tokenizer),
        output["scores"].tolist(),
        batch["covers"].tolist(),
        strict=True,
    )
    for owner, text, score, (start, end) in windows:
        known: dict[str, Plain] = {"text": text, "score": score, "probability": math.exp(score)}
        answers[owner].append({**known, "start": start, "end": end})
    for found in answers:
        found.sort(key=lambda answer: (answer["text"] == "", -cast("float", answer["score"])))
    return answers


def predict_generated(answers: GeneratedAnswers) -> Prediction:
    """The best answer to a question.

    Args:
        answers: the best first; of one that training writes for a panel only `text` is known.

    Returns:
        `prediction`, its `score` and `probability`, and `n_best`, the answers of all windows.
    """
    best = answers[0]
    if "score" not in best:
        return {"prediction": best["text"], "probability": None}
    known: Prediction = {"prediction": best["text"], "score": best["score"]}
    return {**known, "probability": best["probability"], "n_best": answers}


def _texts(tokens: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The texts of answers, without the tokens that mark ends and padding."""
    own = [[token for token in ids if token >= 0] for ids in tokens]
    return [text.strip() for text in tokenizer.batch_decode(own, skip_special_tokens=True)]


def _taught_windows(batch: PromptBatch, rows: Sequence[int]) -> Tensor:
    """For each of some questions the first window that teaches an answer, else its first."""
    owners, holds = batch["window_of"], batch["holds"].long()
    return torch.stack([torch.where(owners == row, holds, -1).argmax() for row in rows])


def likeliest_tokens(
    batch: PromptBatch,
    output: AnswerOutput,
    rows: Sequence[int],
    decode: Callable[[Sequence[int]], str],
) -> list[GeneratedAnswers]:
    """Of some questions the likeliest token at each place of the right answer.

    Args:
        batch: the questions.
        output: what a training step made of them.
        rows: which of them.
        decode: token ids to text.
    """
    places = {window: place for place, window in enumerate(output["windows"].tolist())}
    answers: list[GeneratedAnswers] = []
    for window in _taught_windows(batch, rows).tolist():
        is_taught = batch["labels"][window] != IGNORED
        text = ""  # of a window that was left out
        if window in places:
            text = decode(output["logits"][places[window]].argmax(1)[is_taught].tolist())
        answers.append([{"text": text}])
    return answers


@torch.no_grad()
def write_greedily(
    model: PreTrainedModel,
    batch: PromptBatch,
    rows: Sequence[int],
    tokenizer: PreTrainedTokenizerBase,
) -> list[GeneratedAnswers]:
    """Write the likeliest token after the other, for the window of the answer of some questions.

    Dropout is off meanwhile, and nothing is drawn at random, so training continues as without it.
    """
    windows = _taught_windows(batch, rows)
    longest = batch["labels"].shape[1] + 8  # an answer may be longer than the right one
    longest = min(longest, model.generation_config.max_new_tokens or longest)
    greedy = {"num_beams": 1, "do_sample": False, "max_new_tokens": longest, "max_length": None}
    settings = GenerationConfig.from_dict({**model.generation_config.to_dict(), **greedy})
    ids, mask = batch["input_ids"][windows], batch["attention_mask"][windows]
    inputs = {"input_ids": ids, "attention_mask": mask, "generation_config": settings}
    with evaluating(model):
        tokens = until_end(generate(model, inputs)[:, 1:], ends_of(model))
    return [[{"text": text}] for text in _texts(tokens.tolist(), tokenizer)]
