"""Questions with contexts of any length to windows of token ids, and windows to one padded batch.

Letters: W windows of all examples of a batch, L tokens of the longest.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from datasets import Features, List, Value
from torch import Tensor

from lit_hf.data.sampling.batching import rounded_up
from lit_hf.functional.offsets import completed_ends
from lit_hf.functional.spans import Span, token_span
from lit_hf.pretrained.tokenizing import cutting_ends, tokenize

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import BatchEncoding, PreTrainedTokenizerBase

Windows = dict[str, list[object]]


class _Window(NamedTuple):
    """What is kept of a window, see `encode_windows`."""

    input_ids: list[int]
    token_type_ids: list[int]
    char_starts: list[int]
    char_ends: list[int]
    first_token: int
    last_token: int
    no_answer_token: int


def question_room(tokenizer: "PreTrainedTokenizerBase", max_length: int, doc_stride: int) -> int:
    """How many tokens a question may have, so that every window brings a new token of context."""
    special = tokenizer.num_special_tokens_to_add(pair=True)
    return max_length - special - doc_stride - 1


def question_lengths(questions: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """How many tokens each question has, special ones not counted."""
    if not questions:
        return []
    tokens = tokenize(tokenizer, list(questions), add_special_tokens=False)
    return [len(ids) for ids in tokens["input_ids"]]


def window_features(tokenizer: "PreTrainedTokenizerBase") -> Features:
    """How encoded questions lie on disk: as small as their numbers allow, 13 bytes a token."""
    kinds = {"input_ids": "int32", "char_starts": "int32", "char_ends": "int32"}
    if "token_type_ids" in tokenizer.model_input_names:
        kinds["token_type_ids"] = "int8"
    texts = {name: Value("string") for name in ("id", "question", "context")}
    marks = ("first_token", "last_token", "no_answer_token")
    return Features(
        {
            **texts,
            "answers": List(Value("string")),
            "starts": List(Value("int32")),
            **{name: List(List(Value(kind))) for name, kind in kinds.items()},
            **{name: List(Value("int32")) for name in marks},
            "num_held": Value("int32"),
        }
    )


def encode_windows(
    batch: Mapping[str, Sequence[object]],
    tokenizer: "PreTrainedTokenizerBase",
    max_length: int,
    doc_stride: int,
) -> Windows:
    """Tokenise questions with their contexts, a long context in several windows.

    Args:
        batch: columns `question` and `context`, and where they are known `answers` and `starts`.
            No question has more tokens than `question_room` allows.
        tokenizer: a fast tokenizer.
        max_length: longest window in tokens, question included.
        doc_stride: context tokens that neighbouring windows share.

    Returns:
        For each question lists with an entry for each of its windows: `input_ids` and perhaps
        `token_type_ids` without padding; `char_starts` and `char_ends`, places of the tokens in the
        context, 0 and 0 for tokens that are not of it; `first_token` and `last_token` of the first
        right answer, or of the token that stands for "no answer" where the window does not hold it
        whole; `no_answer_token`. And `num_held`, in how many windows the answer is whole.
    """
    contexts = cast("list[str]", list(batch["context"]))
    tokens = _tokens(batch, tokenizer, max_length, doc_stride)
    answers = list(_answers(batch, len(contexts)))
    owners = list(tokens["overflow_to_sample_mapping"])
    names = [name for name in _Window._fields if name != "token_type_ids" or name in tokens]
    columns: Windows = {name: [[] for _ in contexts] for name in names}
    num_held = [0] * len(contexts)
    encodings = tokens.encodings or []
    places = _context_offsets(contexts, encodings, owners)
    for number, (owner, encoding, offsets) in enumerate(
        zip(owners, encodings, places, strict=True)
    ):
        covered = _covered(offsets, owners, number, len(contexts[owner]))
        answer = answers[owner]
        held = token_span(offsets, covered, answer) if answer is not None else None
        num_held[owner] += held is not None
        window = _window(encoding, offsets, held, tokenizer.cls_token_id)
        for name in names:
            cast("list[list[object]]", columns[name])[owner].append(getattr(window, name))
    return {**columns, "num_held": list(num_held)}


def _tokens(
    batch: Mapping[str, Sequence[object]],
    tokenizer: "PreTrainedTokenizerBase",
    max_length: int,
    doc_stride: int,
) -> "BatchEncoding":
    """All windows, those of a context from its beginning to its end, however the tokenizer cuts."""
    with cutting_ends(tokenizer):
        return tokenize(
            tokenizer,
            list(batch["question"]),
            list(batch["context"]),
            truncation="only_second",
            max_length=max_length,
            stride=doc_stride,
            return_overflowing_tokens=True,
        )


def _context_offsets(
    contexts: Sequence[str], encodings: Sequence["Encoding"], owners: Sequence[int]
) -> list[list[Span]]:
    """Places of each window's tokens in its context; 0 and 0 for tokens that are not of it."""
    windows = [
        [
            place if sequence == 1 else (0, 0)
            for place, sequence in zip(encoding.offsets, encoding.sequence_ids, strict=True)
        ]
        for encoding in encodings
    ]
    spans: list[list[Span]] = [[] for _ in contexts]
    for owner, offsets in zip(owners, windows, strict=True):
        spans[owner] += offsets
    longer = [completed_ends(*texts) for texts in zip(contexts, spans, strict=True)]
    return [
        [(start, longer[owner].get(end, end)) for start, end in offsets]
        for owner, offsets in zip(owners, windows, strict=True)
    ]


def _covered(offsets: Sequence[Span], owners: Sequence[int], window: int, length: int) -> Span:
    """The characters of a context of this length that a window holds, spaces at its ends too."""
    own = [place for place in offsets if place[0] < place[1]]
    if not own:
        return 0, length
    is_first = window == 0 or owners[window - 1] != owners[window]
    is_last = window + 1 == len(owners) or owners[window + 1] != owners[window]
    return 0 if is_first else own[0][0], length if is_last else own[-1][1]


def _window(
    encoding: "Encoding", offsets: Sequence[Span], held: Span | None, no_answer_id: object
) -> _Window:
    ids = encoding.ids
    nothing = ids.index(no_answer_id) if no_answer_id in ids else 0
    first, last = held or (nothing, nothing)
    starts, ends = [start for start, _ in offsets], [end for _, end in offsets]
    return _Window(ids, encoding.type_ids, starts, ends, first, last, nothing)


def _answers(batch: Mapping[str, Sequence[object]], num_rows: int) -> Iterator[Span | None]:
    """The place of the first right answer of each question that has one; None without any."""
    texts = cast("Sequence[list[str]]", batch.get("answers") or [[]] * num_rows)
    starts = cast("Sequence[list[int]]", batch.get("starts") or [[]] * num_rows)
    for names, places in zip(texts, starts, strict=True):
        placed = [(start, start + len(text)) for text, start in zip(names, places, strict=True)]
        yield next((span for span in placed if span[0] >= 0), None)


def pad_windows(
    columns: Mapping[str, Sequence[object]], pad_token_id: int, multiple: int = 1
) -> dict[str, Tensor]:
    """Lay the windows of all examples under each other, padded to the longest, or to a multiple.

    Returns:
        `input_ids`, `attention_mask` and perhaps `token_type_ids` [W, L] int64; `offsets`
        [W, L, 2]; `first_token`, `last_token` and `no_answer_token` [W]; `window_of` [W], the
        example in the batch that a window is of.
    """
    columns = {
        **columns,
        "attention_mask": [
            [[1] * len(ids) for ids in windows]
            for windows in cast("list[list[list[int]]]", columns["input_ids"])
        ],
    }
    nested = {
        name: [
            window for windows in cast("list[list[list[int]]]", columns[name]) for window in windows
        ]
        for name in ("input_ids", "attention_mask", "token_type_ids", "char_starts", "char_ends")
        if name in columns
    }
    length = rounded_up(max(len(ids) for ids in nested["input_ids"]), multiple)
    padded = {}
    for name, windows in nested.items():
        fill = pad_token_id if name == "input_ids" else 0
        padded[name] = torch.tensor([ids + [fill] * (length - len(ids)) for ids in windows])
    offsets = torch.stack([padded.pop("char_starts"), padded.pop("char_ends")], dim=2)
    counts = torch.tensor(
        [len(windows) for windows in cast("list[list[int]]", columns["input_ids"])]
    )
    flat = {
        name: torch.tensor([x for row in cast("list[list[int]]", columns[name]) for x in row])
        for name in ("first_token", "last_token", "no_answer_token")
    }
    window_of = torch.repeat_interleave(torch.arange(len(counts)), counts)
    return {**padded, **flat, "offsets": offsets, "window_of": window_of}
