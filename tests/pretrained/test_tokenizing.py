"""Tokenizers under threads: what one call sets, another does not unset."""

import os
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from lit_hf import ExtractiveQA, GenerativeQA, ImageClassifier, Predictor, TextClassifier
from lit_hf.pretrained.processors import load_image_processor, load_tokenizer
from lit_hf.pretrained.tokenizing import cutting_ends, tokenize
from tests.images import drawn

RANDOM: dict[str, Any] = {"initializer_range": 0.4}  # each item has an answer of its own
PAUSE = 0.3  # how long a thread waits for another that the lock may hold back


class Slow:
    """A tokenizer that sets its state, lets another thread in, and then reads its state."""

    def __init__(self) -> None:
        self.truncation_side = "left"
        self.state: object = None
        self.is_set, self.is_unset = threading.Event(), threading.Event()

    def __call__(self, text: str, truncation: bool = False) -> Any:  # noqa: ANN401 - as a tokenizer
        self.state = truncation
        if truncation:
            self.is_set.set()
            self.is_unset.wait(PAUSE)
        else:
            self.is_unset.set()
        return SimpleNamespace(state=self.state, side=self.truncation_side, text=text)


def test_call__has_the_state_that_it_has_set() -> None:
    slow: Any = Slow()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(tokenize, slow, "a", truncation=True)
        assert slow.is_set.wait(9)
        second = threads.submit(tokenize, slow, "b")
        assert (first.result().state, second.result().state) == (True, False)


def test_side__is_that_of_one_thread_alone() -> None:
    slow: Any = Slow()

    def cut() -> Any:  # noqa: ANN401 - as a tokenizer
        with cutting_ends(slow):
            return tokenize(slow, "a", truncation=True)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cut)
        assert slow.is_set.wait(9)
        second = threads.submit(tokenize, slow, "b")
        assert (first.result().side, second.result().side) == ("right", "left")
    assert slow.truncation_side == "left"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked on Unix alone")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork__in_the_midst_of_a_call_leaves_the_child_free() -> None:
    slow: Any = Slow()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(tokenize, slow, "a", truncation=True)
        assert slow.is_set.wait(9)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(9)  # ends one that waits for the lock
            tokenize(slow, "b")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        first.result()


QUESTIONS = [
    ("who sold the mill", f"{number} " + "ada sold the old mill by the river in 1921 " * number)
    for number in range(1, 17)
]


@pytest.fixture
def predictors(tiny_model: str) -> Mapping[str, Predictor]:
    """A classifier and one of questions, which share a tokenizer."""
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.model_max_length = 48
    settings: dict[str, Any] = {"pretrained": False, "config_overrides": RANDOM}
    torch.manual_seed(0)
    classifier = TextClassifier(tiny_model, ["a", "b"], **settings)
    answerer = ExtractiveQA(tiny_model, **settings)
    return {
        "text": Predictor(classifier, tokenizer),
        "question": Predictor(answerer, tokenizer, {"max_length": 48, "doc_stride": 12}),
    }


@pytest.mark.parametrize("kind", ["text", "question"])
def test_answer__that_another_thread_disturbs_is_the_same(
    kind: str, predictors: Mapping[str, Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other counts a question's tokens, uncut, just when this one has set the longest text."""
    items: dict[str, Any] = {"text": QUESTIONS[15][1], "question": QUESTIONS[15]}
    wanted = predictors[kind](items[kind])
    is_set, is_unset, is_done = (threading.Event() for _ in range(3))
    plain = PreTrainedTokenizerFast.set_truncation_and_padding
    main = threading.current_thread()

    def set_and_hand_over(self: PreTrainedTokenizerFast, **state: Any) -> None:  # noqa: ANN401 - as of it
        plain(self, **state)
        is_cut = state["truncation_strategy"].value != "do_not_truncate"
        if threading.current_thread() is main and is_cut:
            is_set.set()
            is_unset.wait(PAUSE)
        elif threading.current_thread() is not main and not is_cut:
            is_unset.set()
            is_done.wait(PAUSE)

    def disturb() -> object:
        is_set.wait(9)
        return predictors["question"](QUESTIONS[0])

    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(disturb)
        name = "set_truncation_and_padding"
        monkeypatch.setattr(PreTrainedTokenizerFast, name, set_and_hand_over)
        try:
            answers = predictors[kind](items[kind])
        finally:
            is_done.set()
        other.result()
    assert answers == wanted


@pytest.fixture
def every_task(
    tiny_model: str, tiny_t5: str, tiny_vit: str, predictors: Mapping[str, Predictor]
) -> Mapping[str, tuple[Predictor, Sequence[Any]]]:
    """A Predictor of each task, and sixteen items of several lengths for it."""
    settings: dict[str, Any] = {"pretrained": False, "config_overrides": RANDOM}
    writer = GenerativeQA(tiny_t5, {"max_new_tokens": 2})
    viewer = ImageClassifier(tiny_vit, ["a", "b"], **settings)
    template = {"text_template": "{question} [SEP] {context}"}
    rows = [{"question": first, "context": second} for first, second in QUESTIONS]
    classifier = predictors["text"].module
    marked = Predictor(classifier, load_tokenizer(tiny_model), template)
    written = Predictor(writer, load_tokenizer(tiny_t5), {"max_length": 64, "doc_stride": 8})
    return {
        "text": (predictors["text"], [context for _, context in QUESTIONS]),
        "template": (marked, rows),
        "question": (predictors["question"], QUESTIONS),
        "written": (written, QUESTIONS),
        "image": (Predictor(viewer, load_image_processor(tiny_vit)), list(map(drawn, range(16)))),
    }


@pytest.mark.parametrize("task", ["text", "template", "question", "written", "image"])
def test_answers__of_sixteen_threads_are_those_of_one(
    task: str, every_task: Mapping[str, tuple[Predictor, Sequence[Any]]]
) -> None:
    predictor, items = every_task[task]
    wanted = [predictor(item) for item in items]
    barrier = threading.Barrier(16)

    def ask(item: Any) -> object:  # noqa: ANN401 - of any task
        barrier.wait(9)
        return predictor(item)

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(ask, items))
    assert len({str(answer) for answer in wanted}) > 3
    _close(found, wanted)


def _close(found: Any, wanted: Any) -> None:  # noqa: ANN401 - answers of any shape
    if isinstance(wanted, dict):
        _close([*found.items()], [*wanted.items()])
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            _close(one, other)
    else:
        assert found == (pytest.approx(wanted, abs=1e-5) if isinstance(wanted, float) else wanted)
