"""Calling a tokenizer, from any number of threads."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedTokenizerBase

# A fast tokenizer keeps from call to call how long texts are cut, on which side, and what special
# tokens in a text are. Without the lock a call without truncation unsets that of another thread:
# https://github.com/huggingface/tokenizers/issues/537
_lock = threading.RLock()


def tokenize(
    tokenizer: "Callable[..., BatchEncoding]", *texts: object, **settings: object
) -> "BatchEncoding":
    """Call a tokenizer while no other thread calls one.

    Args:
        tokenizer: a fast tokenizer, or what calls one.
        texts: what it is called with, texts and perhaps their pairs.
        settings: of the call.
    """
    with _lock:
        return tokenizer(*texts, **settings)


@contextmanager
def cutting_ends(tokenizer: "PreTrainedTokenizerBase") -> Iterator[None]:
    """Cut long texts at their ends meanwhile, whatever side the tokenizer cuts otherwise.

    No other thread calls a tokenizer meanwhile.
    """
    with _lock:
        side, tokenizer.truncation_side = tokenizer.truncation_side, "right"
        try:
            yield
        finally:
            tokenizer.truncation_side = side


def _renew() -> None:
    """Free the lock in a forked process, which has none of the threads that may hold it."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew)
