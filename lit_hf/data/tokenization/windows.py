"""Questions with contexts of any length to windows of token ids, and windows to one padded batch.

Letters: W windows of all examples of a batch, L tokens of the longest.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import torch
from datasets import Features, List, Value
from torch import Tensor

from lit_hf.functional.offsets import completed_ends
from lit_hf.functional.padding import padded
from lit_hf.functional.spans import Span, token_span
from lit_hf.pretrained.tokenizers import cutting_ends, tokenize

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase

Windows = dict[str, list[object]]
_OF_TOKENS = ("input_ids", "token_type_ids", "char_starts", "char_ends")
_OF_WINDOWS = ("first_token", "last_token", "no_answer_token")


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
    kinds = dict.fromkeys(_OF_TOKENS, "int32") | {"token_type_ids": "int8"}
    if "token_type_ids" not in tokenizer.model_input_names:
        del kinds["token_type_ids"]
    return Features(
        {
            **{name: Value("string") for name in ("id", "question", "context")},
            "answers": List(Value("string")),
            "starts": List(Value("int32")),
            **{name: List(List(Value(kind))) for name, kind in kinds.items()},
            **{name: List(Value("int32")) for name in _OF_WINDOWS},
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
    with cutting_ends(tokenizer):  # windows from the beginning of a context to its end
        tokens = tokenize(
            tokenizer,
            list(batch["question"]),
            contexts,
            truncation="only_second",
            max_length=max_length,
            stride=doc_stride,
            return_overflowing_tokens=True,
        )
    owners, encodings = list(tokens["overflow_to_sample_mapping"]), tokens.encodings or []
    places = _context_offsets(contexts, encodings, owners)
    answers = list(_answers(batch, len(contexts)))
    columns: Windows = {name: [[] for _ in contexts] for name in [*_OF_TOKENS, *_OF_WINDOWS]}
    num_held = [0] * len(contexts)
    for number, (owner, encoding, offsets) in enumerate(
        zip(owners, encodings, places, strict=True)
    ):
        covered = _covered(offsets, owners, number, len(contexts[owner]))
        answer = answers[owner]
        held = token_span(offsets, covered, answer) if answer is not None else None
        num_held[owner] += held is not None
        ids, no_answer = encoding.ids, tokenizer.cls_token_id
        nothing = ids.index(no_answer) if no_answer in ids else 0
        starts, ends = zip(*offsets, strict=True)
        of_tokens = (ids, encoding.type_ids, list(starts), list(ends))
        window = (*of_tokens, *(held or (nothing, nothing)), nothing)
        for column, value in zip(columns.values(), window, strict=True):
            cast("list[list[object]]", column)[owner].append(value)
    if "token_type_ids" not in tokens:
        del columns["token_type_ids"]
    return {**columns, "num_held": list(num_held)}


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
    if not own:  # of a context that is no token
        return 0, length
    is_first = window == 0 or owners[window - 1] != owners[window]
    is_last = window + 1 == len(owners) or owners[window + 1] != owners[window]
    return 0 if is_first else own[0][0], length if is_last else own[-1][1]


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
    batch = lay_windows(columns, pad_token_id, multiple)
    of_tokens = [name for name in _OF_TOKENS[1:] if name in columns]
    batch |= {name: padded(flat(columns[name]), 0, multiple) for name in of_tokens}
    offsets = torch.stack([batch.pop("char_starts"), batch.pop("char_ends")], dim=2)
    numbers = {name: torch.tensor(flat(columns[name])) for name in _OF_WINDOWS}
    return {**batch, **numbers, "offsets": offsets}


def lay_windows(
    columns: Mapping[str, Sequence[object]], pad_token_id: int, multiple: int
) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` of all windows [W, L], and `window_of` [W]."""
    windows = flat(columns["input_ids"])
    counts = torch.tensor([len(cast("list[object]", ids)) for ids in columns["input_ids"]])
    return {
        "input_ids": padded(windows, pad_token_id, multiple),
        "attention_mask": padded([[1] * len(ids) for ids in windows], 0, multiple),
        "window_of": torch.repeat_interleave(torch.arange(len(counts)), counts),
    }


def flat(column: Sequence[object]) -> list[Any]:
    """What the windows of all examples have, in one list."""
    return list(chain.from_iterable(cast("Sequence[Sequence[object]]", column)))
