"""Questions with contexts of any length to prompts of token ids, and prompts to a padded batch.

A context that does not fit becomes several windows: each holds the whole prompt with a part of the
context. Letters: B examples in a batch, W windows of all of them, L tokens of the longest window,
A tokens of the longest answer.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from datasets import List, Value
from torch import Tensor

from lit_hf.data.tokenization.templates import TemplateTokenizer, fill
from lit_hf.data.tokenization.windows import flat, lay_windows
from lit_hf.errors import InputError
from lit_hf.functional.offsets import completed_ends
from lit_hf.functional.padding import padded
from lit_hf.functional.places import find_places
from lit_hf.functional.sequences import IGNORED
from lit_hf.functional.spans import Span
from lit_hf.functional.templates import template_columns
from lit_hf.pretrained.tokenizers import cutting_ends, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# How encoded questions lie on disk, and what is added where their answers are known.
PROMPT_FEATURES = {
    **{name: Value("string") for name in ("id", "question", "context")},
    "answers": List(Value("string")),
    "starts": List(Value("int32")),
    "input_ids": List(List(Value("int32"))),
    "covers": List(List(Value("int32"))),
}
ANSWER_FEATURES = {
    "labels": List(List(Value("int32"))),
    "num_held": Value("int32"),
    "holds": List(Value("bool")),
    "is_cut": Value("bool"),
    "is_unknown": Value("bool"),
}


class PromptSettings(NamedTuple):
    """How a question becomes token ids.

    Attributes:
        prompt: what the model reads, with `{question}` and `{context}`.
        max_length: longest window in tokens, prompt included.
        doc_stride: context tokens that neighbouring windows share.
        max_answer_length: longest answer in tokens that is taught.
    """

    prompt: str
    max_length: int
    doc_stride: int
    max_answer_length: int

    @property
    def room(self) -> int:
        """How many tokens the prompt may have without its context."""
        return self.max_length - self.doc_stride - 1


def check_prompt(prompt: str) -> None:
    """Refuse a prompt that lacks question or context, or names something else.

    Raises:
        InputError: showing what it has to hold.
    """
    if sorted(template_columns(prompt, "prompt")) != ["context", "question"]:
        raise InputError(
            f"Expected `prompt` to hold {{question}} and {{context}}, each once and nothing else "
            f"in braces, but got {prompt!r}."
        )


def check_end(
    tokenizer: "PreTrainedTokenizerBase", model_name: str, max_answer_length: int
) -> None:
    """Refuse a tokenizer that does not end a text with its end token: no answer would ever end.

    Raises:
        InputError: saying so, or that `max_answer_length` leaves no room for an answer.
    """
    ids = tokenize(tokenizer, text_target="a")["input_ids"]
    num_marks = len(tokenize(tokenizer, text_target="")["input_ids"])
    if max_answer_length <= num_marks:
        raise InputError(
            f"Expected `max_answer_length` to be above {num_marks}, the marks around an answer, "
            f"but got {max_answer_length}."
        )
    if tokenizer.eos_token_id is None or ids[-1:] != [tokenizer.eos_token_id]:
        raise InputError(
            f"{model_name}: the tokenizer ends no text with its end token "
            f"({tokenizer.eos_token!r}), so a model would never learn to stop. Take the tokenizer "
            "of a model that reads and writes, such as T5 or BART; one of your own gets the token "
            "by a post-processor (`tokenizers.processors.TemplateProcessing`)."
        )


def prompt_lengths(
    questions: Sequence[str], tokenizer: TemplateTokenizer, prompt: str
) -> list[int]:
    """How many tokens the prompt of each question has without its context."""
    texts = [fill(prompt, {"question": question, "context": ""}) for question in questions]
    return [len(ids) for ids in tokenizer(texts, verbose=False)["input_ids"]]


def encode_prompts(
    batch: Mapping[str, Sequence[object]], tokenizer: TemplateTokenizer, settings: PromptSettings
) -> dict[str, list[object]]:
    """Tokenise questions with their contexts, a long context in several windows.

    Args:
        batch: columns `question` and `context`. No prompt without its context has more tokens than
            `settings.room`.
        tokenizer: of the prompt.
        settings: prompt and lengths.

    Returns:
        For each question `input_ids`, its windows' token ids, and `covers`, from which to which
        character of the context each window holds.
    """
    names = template_columns(settings.prompt)
    texts, places, gaps = [], [], []
    for question, context in zip(batch["question"], batch["context"], strict=True):
        text = fill(settings.prompt, {"question": question, "context": context})
        place = text.values[names.index("context")]
        before = text[: place[0]]
        gaps.append(len(before) - len(before.rstrip()))
        places.append(place)
        texts.append(text)
    tokens = tokenizer(texts, return_offsets_mapping=True, verbose=False)
    columns: dict[str, list[object]] = {"input_ids": [], "covers": []}
    for text, ids, spans, place, gap in zip(
        texts, tokens["input_ids"], tokens["offset_mapping"], places, gaps, strict=True
    ):
        longer = completed_ends(text, spans)
        offsets = [(start, longer.get(end, end)) for start, end in spans]
        windows, covers = split_prompt(ids, offsets, place, gap, settings)
        columns["input_ids"].append(windows)
        columns["covers"].append(covers)
    return columns


def split_prompt(
    ids: Sequence[int],
    offsets: Sequence[Span],
    place: Span,
    gap: int,
    settings: PromptSettings,
) -> tuple[list[list[int]], list[Span]]:
    """Cut the context of a prompt into windows that fit, with the rest of the prompt around each.

    Args:
        ids: the tokens of the whole prompt.
        offsets: of each token the characters that it stands for.
        place: the characters of the context in the prompt.
        gap: how much white space is before it; its tokens go with the context.
        settings: the lengths.

    Returns:
        The windows, and the characters of the context that each holds.
    """
    first_own = place[0] - gap
    own = [n for n, (start, end) in enumerate(offsets) if start < place[1] and end > first_own]
    size = place[1] - place[0]
    if not own or len(ids) <= settings.max_length:
        return [list(ids)], [(0, size)]
    head, body, tail = ids[: own[0]], range(own[0], own[-1] + 1), ids[own[-1] + 1 :]
    room = max(settings.max_length - len(head) - len(tail), settings.doc_stride + 1)
    windows, covers = [], []
    for start in range(0, len(body) - settings.doc_stride, room - settings.doc_stride):
        part = body[start : start + room]
        windows.append([*head, *(ids[n] for n in part), *tail])
        first = 0 if start == 0 else offsets[part[0]][0] - place[0]
        last = size if part[-1] == body[-1] else offsets[part[-1]][1] - place[0]
        covers.append((max(first, 0), last))
    return windows, covers


def encode_taught(
    batch: Mapping[str, Sequence[object]], tokenizer: TemplateTokenizer, settings: PromptSettings
) -> dict[str, list[object]]:
    """Tokenise questions as `encode_prompts` does, and the answers that training teaches.

    Args:
        batch: columns `question`, `context`, `answers` and their `starts` (-1 where unknown).
        tokenizer: of the prompt; the answers are tokenised by the one that it is made of.
        settings: prompt and lengths.

    Returns:
        Beside the prompts for each question `labels`, what each of its windows teaches; `holds`,
        whether that is an answer; `num_held`, how many windows hold the first right answer whole;
        `is_cut`, whether it was longer, and `is_unknown`, whether it holds signs that the tokenizer
        does not know.
    """
    prompts = encode_prompts(batch, tokenizer, settings)
    answers = [texts[0] if texts else "" for texts in cast("list[list[str]]", batch["answers"])]
    plain = tokenizer.tokenizer
    with cutting_ends(plain):
        limit = settings.max_answer_length
        tokens = tokenize(plain, text_target=answers, truncation=True, max_length=limit)
    unknown = plain.unk_token_id
    columns: dict[str, list[object]] = {
        "labels": [],
        "num_held": [],
        "holds": [],
        "is_cut": [bool(encoding.overflowing) for encoding in tokens.encodings or []],
        "is_unknown": [unknown is not None and unknown in ids for ids in tokens["input_ids"]],
    }
    nothing = list(tokenize(plain, text_target="")["input_ids"])
    starts = cast("list[list[int]]", batch["starts"])
    for answer, ids, known, context, covers in zip(
        *(answers, tokens["input_ids"], starts, batch["context"], prompts["covers"]), strict=True
    ):
        start = known[0] if known else -1  # where unknown, all places that hold its text
        end = start + len(answer)
        places = [(start, end)] if start >= 0 else find_places(str(context), answer)
        spans = cast("list[Span]", covers)
        held = [
            not answer or any(first <= start and end <= last for start, end in places)
            for first, last in spans
        ]
        if any(held):
            labels = [list(ids) if is_held else nothing for is_held in held]
        else:  # in the writer's own words, or cut by the windows: where to read it is not known
            labels = [list(ids), *[[] for _ in held[1:]]]
        columns["labels"].append(labels)
        columns["holds"].append([bool(answer) and ids not in ([], nothing) for ids in labels])
        columns["num_held"].append(sum(held) if answer else 0)
    return {**prompts, **columns}


def pad_prompts(
    columns: Mapping[str, Sequence[object]], pad_token_id: int, multiple: int = 1
) -> dict[str, Tensor]:
    """Lay the windows of all examples under each other, padded to the longest, or to a multiple.

    Returns:
        `input_ids` and `attention_mask` [W, L] int64; `window_of` [W], the example in the batch
        that a window is of; `covers` [W, 2]; and where there are `labels`, these [W, A], -100 where
        padded, and `holds` [W].
    """
    batch = lay_windows(columns, pad_token_id, multiple)
    batch["covers"] = torch.tensor(flat(columns["covers"]))
    if "labels" in columns:
        batch["labels"] = padded(flat(columns["labels"]), IGNORED, multiple)
        batch["holds"] = torch.tensor(flat(columns["holds"]))
    return batch
