from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from lit_hf.data.tokenization.prompts import (
    PromptSettings,
    check_end,
    check_prompt,
    encode_prompts,
    encode_taught,
    pad_prompts,
    split_prompt,
)
from lit_hf.data.tokenization.templates import TemplateTokenizer
from lit_hf.errors import InputError
from lit_hf.functional.templates import DEFAULT_PROMPT

LONG = " ".join(f"Boat {number} left the harbour at {number} o'clock." for number in range(20))
END = 1


@pytest.fixture(scope="module")
def tokenizer(tiny_t5: str) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tiny_t5)
    return tokenizer


def _settings(prompt: str = DEFAULT_PROMPT, max_length: int = 64) -> PromptSettings:
    return PromptSettings(prompt, max_length, doc_stride=8, max_answer_length=8)


def _encoded(
    tokenizer: PreTrainedTokenizerBase, question: str, context: str, settings: PromptSettings
) -> dict[str, Any]:
    rows = {"question": [question], "context": [context]}
    return {**encode_prompts(rows, TemplateTokenizer(tokenizer, settings.prompt), settings)}


def _taught(
    tokenizer: PreTrainedTokenizerBase, context: str, answers: Sequence[str], start: int = -1
) -> dict[str, Any]:
    rows: dict[str, list[Any]] = {"question": ["Who?"], "context": [context]}
    told: dict[str, list[Any]] = {"answers": [list(answers)], "starts": [[start] * len(answers)]}
    prompts = TemplateTokenizer(tokenizer, DEFAULT_PROMPT)
    return {**encode_taught({**rows, **told}, prompts, _settings())}


@pytest.mark.parametrize(
    "prompt", [DEFAULT_PROMPT, "{context} | {question}", "{{x}} {question}{context}!"]
)
def test_prompt__that_fits_is_encoded_as_the_tokenizer_does(
    tokenizer: PreTrainedTokenizerBase, prompt: str
) -> None:
    question, context = "Who {sold} it?", "Ada sold  the mill 🙂."
    columns = _encoded(tokenizer, question, context, _settings(prompt, 200))
    whole = prompt.format(question=question, context=context)
    assert columns["input_ids"] == [[tokenizer(whole)["input_ids"]]]
    assert columns["covers"] == [[(0, len(context))]]


def test_windows__hold_the_prompt_and_share_the_stride(tokenizer: PreTrainedTokenizerBase) -> None:
    settings = _settings("question: {question} context: {context} answer:")
    columns = _encoded(tokenizer, "Who?", LONG, settings)
    (windows,), (covers,) = columns["input_ids"], columns["covers"]
    head = tokenizer("question: Who? context:")["input_ids"][:-1]
    tail = tokenizer("answer:")["input_ids"]
    assert len(windows) > 5
    bodies = []
    for ids in windows[:-1]:
        assert len(ids) == settings.max_length
        assert (ids[: len(head)], ids[-len(tail) :]) == (head, tail)
    for ids in windows:
        bodies.append(ids[len(head) : -len(tail)])
    joined = bodies[0]
    for body in bodies[1:]:
        assert joined[-settings.doc_stride :] == body[: settings.doc_stride]
        joined = joined + body[settings.doc_stride :]
    assert joined == tokenizer(LONG)["input_ids"][:-1]
    assert (covers[0][0], covers[-1][1]) == (0, len(LONG))
    for (start, end), body in zip(covers, bodies, strict=True):
        assert str(tokenizer.decode(body)).strip() == LONG[start:end].strip()


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 60), st.integers(0, 6), st.integers(0, 4), st.integers(0, 3), st.integers(1, 20)
)
def test_split__covers_every_token_in_windows_that_fit(
    num_body: int, stride: int, num_head: int, num_tail: int, room: int
) -> None:
    """Tokens of one character each; `room` is what head and tail leave."""
    num_all = num_head + num_body + num_tail
    limits = PromptSettings("", num_head + num_tail + stride + room, stride, 2)
    offsets = [(n, n + 1) for n in range(num_all)]
    windows, covers = split_prompt(
        range(num_all), offsets, (num_head, num_head + num_body), 0, limits
    )
    body = range(num_head, num_head + num_body)
    assert {token for ids in windows for token in ids} == set(range(num_all))
    for ids, (start, end) in zip(windows, covers, strict=True):
        assert len(ids) <= limits.max_length
        assert ids == [*range(num_head), *body[start:end], *range(num_all - num_tail, num_all)]
    for (_, end), (start, _) in pairwise(covers):
        assert end - start == stride


def test_labels__are_the_answer_where_it_is_held_and_nothing_elsewhere(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    start = LONG.index("Boat 10")
    columns = _taught(tokenizer, LONG, ["Boat 10", "10"], start)
    (labels,), (covers,) = columns["labels"], columns["covers"]
    answer = tokenizer("Boat 10")["input_ids"]
    wanted = [answer if first <= start and start + 7 <= last else [END] for first, last in covers]
    assert labels == wanted
    assert columns["num_held"] == [wanted.count(answer)] == [1]


def test_labels__of_an_answer_without_place_are_taught_wherever_its_text_stands(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    columns = _taught(tokenizer, LONG, ["harbour"])
    (labels,) = columns["labels"]
    assert [END] not in labels
    assert columns["num_held"] == [len(labels)]


def test_labels__of_an_answer_inside_words_are_taught_where_it_is_a_word(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """No number is inside another; where it is nowhere a word, it is wherever its letters are."""
    context = f"In 1951. {'the boat left ' * 40} at 5"
    (holds,) = _taught(tokenizer, context, ["5"])["holds"]
    assert holds == [False] * (len(holds) - 1) + [True]
    assert _taught(tokenizer, f"In 1951. {'the boat ' * 80}", ["5"])["holds"][0][0]


def test_labels__of_own_words_are_taught_by_the_first_window_alone(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    (labels,) = _taught(tokenizer, LONG, ["a ship"])["labels"]
    assert labels == [tokenizer("a ship")["input_ids"], *[[] for _ in labels[1:]]]


def test_labels__of_no_answer_are_the_end_in_every_window(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    columns = _taught(tokenizer, LONG, [])
    (labels,) = columns["labels"]
    assert len(labels) > 5
    assert labels == [[END]] * len(labels)
    assert columns["num_held"] == [0]


def test_long_answer__is_cut_but_still_ends(tokenizer: PreTrainedTokenizerBase) -> None:
    columns = _taught(
        tokenizer, "Ada did it.", ["Ada and her brother and the old mill by the river"]
    )
    (((*_, last),),) = columns["labels"]
    assert columns["is_cut"] == [True]
    assert last == END
    assert len(columns["labels"][0][0]) == 8
    assert _taught(tokenizer, "Ada did it.", ["Ada"])["is_cut"] == [False]


def test_batch__is_padded_and_knows_its_owners(tokenizer: PreTrainedTokenizerBase) -> None:
    rows: dict[str, list[Any]] = {"question": ["Who?", "What?"], "context": [LONG, "Ada."]}
    told: dict[str, list[Any]] = {"answers": [["Boat 3"], ["Ada"]], "starts": [[-1], [0]]}
    prompts = TemplateTokenizer(tokenizer, DEFAULT_PROMPT)
    columns: dict[str, Any] = {**encode_taught({**rows, **told}, prompts, _settings())}
    batch = pad_prompts(columns, pad_token_id=0)
    num_windows = len(columns["input_ids"][0])
    assert batch["window_of"].tolist() == [0] * num_windows + [1]
    last = columns["input_ids"][1][0]
    assert batch["input_ids"][-1].tolist() == [*last, *[0] * (64 - len(last))]
    assert batch["attention_mask"].sum(1)[-1] == len(last)
    assert batch["covers"][-1].tolist() == [0, 4]
    ids = columns["labels"][1][0]
    assert batch["labels"][-1][: len(ids)].tolist() == ids
    assert set(batch["labels"][-1][len(ids) :].tolist()) <= {-100}
    assert "labels" not in pad_prompts(encode_prompts(rows, prompts, _settings()), 0)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "{question}",
        "{context} {question} {context}",
        "{question} {context} {x}",
        "{",
        "{} {context}",
        "{question!r} {context}",
        "{question:>9} {context}",
    ],
)
def test_prompt__without_its_parts_is_refused(prompt: str) -> None:
    with pytest.raises(InputError, match="`prompt`"):
        check_prompt(prompt)


def test_tokenizer__that_never_ends_is_refused(tiny_model: str) -> None:
    with pytest.raises(InputError, match="ends no text with its end token"):
        check_end(AutoTokenizer.from_pretrained(tiny_model), "a folder", 32)


@pytest.mark.parametrize("max_answer_length", [0, 1])
def test_room__for_an_answer_is_needed(
    tokenizer: PreTrainedTokenizerBase, max_answer_length: int
) -> None:
    check_end(tokenizer, "a folder", 2)
    with pytest.raises(InputError, match="`max_answer_length` to be above 1, the marks around"):
        check_end(tokenizer, "a folder", max_answer_length)
