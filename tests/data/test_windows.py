from itertools import pairwise

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from lit_hf.data.windows import Windows, encode_windows, pad_windows, question_room

CONTEXT = "fire in the old town, people leave and the smoke is over the river. " * 8


@pytest.fixture
def tokenizer(tiny_model: str) -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tiny_model)
    return loaded


def _encode(
    tokenizer: PreTrainedTokenizerBase, answer: str, max_length: int = 32, stride: int = 8
) -> Windows:
    batch: dict[str, list[object]] = {
        "question": ["where?", "who leaves?"],
        "context": [CONTEXT, "people leave"],
        "answers": [[answer], []],
        "starts": [[CONTEXT.find(answer, 100)], []],
    }
    return encode_windows(batch, tokenizer, max_length, stride)


def _rows(windows: Windows, name: str, question: int = 0) -> list[list[int]]:
    found = windows[name][question]
    assert isinstance(found, list)
    return found


def _numbers(windows: Windows, name: str) -> list[int]:
    """One number for each window of the first question."""
    found = windows[name][0]
    assert isinstance(found, list)
    return found


def test_windows__cover_the_context_with_the_stride_in_common(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    windows = _encode(tokenizer, "smoke")
    starts, ends = _rows(windows, "char_starts"), _rows(windows, "char_ends")
    places = [
        [(a, b) for a, b in zip(*window, strict=True) if a < b]
        for window in zip(starts, ends, strict=True)
    ]
    assert all(len(ids) <= 32 for ids in _rows(windows, "input_ids"))
    assert len(places) > 3
    for first, second in pairwise(places):
        assert first[-8:] == second[:8]
    covered = {place for window in places for place in window}
    letters = "".join(CONTEXT[a:b] for a, b in sorted(covered))
    assert letters == CONTEXT.replace(" ", "")
    assert len(_rows(windows, "input_ids", 1)) == 1


def test_windows__hold_the_answer_where_they_say(tokenizer: PreTrainedTokenizerBase) -> None:
    answer = "over the river"
    windows = _encode(tokenizer, answer)
    held = 0
    for window, (first, last) in enumerate(
        zip(_numbers(windows, "first_token"), _numbers(windows, "last_token"), strict=True)
    ):
        nothing = _numbers(windows, "no_answer_token")[window]
        if first == nothing:
            assert last == nothing
            continue
        held += 1
        start = _rows(windows, "char_starts")[window][first]
        end = _rows(windows, "char_ends")[window][last]
        assert CONTEXT[start:end] == answer
        assert start == CONTEXT.find(answer, 100)
    assert held == windows["num_held"][0]
    assert held > 0
    assert windows["num_held"][1] == 0


def test_windows__of_an_answer_too_long_for_them_hold_none(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    assert _encode(tokenizer, CONTEXT[100:400])["num_held"] == [0, 0]


def test_windows__are_the_same_where_the_tokenizer_cuts_at_the_left(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    wanted = _encode(tokenizer, "smoke")
    tokenizer.truncation_side, tokenizer.padding_side = "left", "left"
    assert _encode(tokenizer, "smoke") == wanted
    assert (tokenizer.truncation_side, tokenizer.padding_side) == ("left", "left")


def test_room__is_what_the_tokenizer_takes(tokenizer: PreTrainedTokenizerBase) -> None:
    """A question of as many tokens works; one more, and tokenizers panic or bring nothing new."""
    room = question_room(tokenizer, 24, 8)
    question = " ".join(["where"] * 100)
    ids = tokenizer(question, add_special_tokens=False)["input_ids"]
    per_word = len(ids) // 100
    words = room // per_word
    batch = {"question": [" ".join(["where"] * words)], "context": [CONTEXT]}
    windows = encode_windows(batch, tokenizer, 24, 8)
    ends = [max(row) for row in _rows(windows, "char_ends")]
    assert ends == sorted(set(ends))
    assert ends[-1] == len(CONTEXT.rstrip())


def test_padding__lays_all_windows_under_each_other(tokenizer: PreTrainedTokenizerBase) -> None:
    windows = _encode(tokenizer, "smoke")
    count = len(_rows(windows, "input_ids"))
    batch = pad_windows(windows, int(tokenizer.pad_token_id or 0))
    assert batch["window_of"].tolist() == [0] * count + [1]
    assert batch["input_ids"].shape == (count + 1, 32)
    assert batch["offsets"].shape == (count + 1, 32, 2)
    short = len(_rows(windows, "input_ids", 1)[0])
    assert batch["attention_mask"][-1].tolist() == [1] * short + [0] * (32 - short)
    assert not batch["offsets"][-1, short:].any()
    assert (batch["input_ids"][-1, short:] == tokenizer.pad_token_id).all()
    assert torch.equal(batch["first_token"][-1:], batch["no_answer_token"][-1:])
