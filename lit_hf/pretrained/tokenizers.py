"""Loading and calling tokenizers, with the padding and the segments that their model reads."""

import copy
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from lit_hf.errors import InputError
from lit_hf.files.urls import check_local
from lit_hf.pretrained.integrity import reading
from lit_hf.pretrained.special_tokens import split_special_tokens

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import BatchEncoding, PreTrainedConfig, PreTrainedTokenizerBase

_SEGMENTS = "token_type_ids"
_TRAINED = ("ForSequenceClassification", "ForQuestionAnswering", "BackboneWithHead")
# A fast tokenizer keeps from call to call how long texts are cut, on which side, and what special
# tokens in a text are. Without the lock a call without truncation unsets that of another thread:
# https://github.com/huggingface/tokenizers/issues/537
_lock = threading.RLock()


# Loading.


def load_tokenizer(
    model_name: str, special_tokens_are_text: bool = True
) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a Hub id or folder; a missing padding token becomes the end token.

    Args:
        model_name: the Hub id or folder.
        special_tokens_are_text: how those that a text spells are read where the files do not say
            it (`split_special_tokens`).

    Raises:
        InputError: if there is none, or it cannot be reached.
    """
    from transformers import AutoTokenizer

    check_local("model_name", model_name)
    with reading(model_name, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(model_name, trust_remote_code=False)
        num_special = len(tokenizer.all_special_tokens)
        if len(tokenizer) <= num_special:  # made up, where the files are missing
            raise InputError(
                f"model {model_name!r}: there is no tokenizer with it (no tokenizer.json and no "
                "vocabulary); copy the tokenizer's files of the base model into the folder."
            )
        prepare(tokenizer, model_name, special_tokens_are_text)
    return tokenizer


def prepare(tokenizer: "PreTrainedTokenizerBase", name: str, are_text: bool = True) -> None:
    """Let a tokenizer pad, and read special tokens in texts in one way; try it on a text.

    Args:
        tokenizer: changed in place.
        name: for messages.
        are_text: as in `load_tokenizer`.
    """
    add_padding(tokenizer, name)
    split_special_tokens(tokenizer, are_text)
    tokenizer(["a text"])["input_ids"]  # what its files say is first looked at here


def check_vocabulary(tokenizer: "PreTrainedTokenizerBase", config: "PreTrainedConfig") -> None:
    """Refuse a tokenizer that knows more tokens than the model.

    Raises:
        InputError: naming both numbers.
    """
    vocab_size = getattr(config, "vocab_size", None)
    if vocab_size is not None and len(tokenizer) > vocab_size:
        raise InputError(
            f"{config.name_or_path}: the tokenizer knows {len(tokenizer)} tokens, the model "
            f"{vocab_size}; they do not belong together."
        )


# Calling, from any number of threads.


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
    """Cut long texts at their ends meanwhile, whatever side the tokenizer cuts otherwise."""
    with _lock:
        side, tokenizer.truncation_side = tokenizer.truncation_side, "right"
        try:
            yield
        finally:
            tokenizer.truncation_side = side


def _renew_lock() -> None:
    """Free the lock in a forked process, which has none of the threads that may hold it."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_lock)


# What the model reads: padding, and which tokens are of which text.


def add_padding(tokenizer: "PreTrainedTokenizerBase", name: str) -> None:
    """Let a tokenizer without padding token, such as GPT-2's, pad with its end token.

    Args:
        tokenizer: changed in place.
        name: of the tokenizer, for the message.

    Raises:
        InputError: if it has no end token either.
    """
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise InputError(f"{name}: the tokenizer has neither padding nor end token.")
        tokenizer.pad_token = tokenizer.eos_token


def padded_at_the_end(
    tokenizer: "PreTrainedTokenizerBase", config: "PreTrainedConfig"
) -> "PreTrainedTokenizerBase":
    """The tokenizer, or a copy, that pads where its model needs it, whatever its files name.

    Behind padding a token has another position, so that what a causal model answers would depend on
    the longest text of the batch. Its heads look for the last token that is no padding; XLNet's
    reads the last place.
    """
    side = "left" if _values(config).get("model_type") == "xlnet" else "right"
    if tokenizer.padding_side == side and tokenizer.pad_token is not None:
        return tokenizer
    own = copy.deepcopy(tokenizer)
    own.padding_side = side
    add_padding(own, type(own).__name__)
    return own


def ask_for_segments(tokenizer: "PreTrainedTokenizerBase", config: "PreTrainedConfig") -> None:
    """Make a tokenizer give `token_type_ids` where its model tells two texts apart by them.

    Some classes of transformers 5 give them only on request, such as those of ALBERT and XLNet:
    https://github.com/huggingface/transformers/issues/48128.

    Args:
        tokenizer: changed in place.
        config: of the model. One with a trained head was trained on what the tokenizer's files name
            as inputs, if they do.
    """
    names = tokenizer.model_input_names
    is_trained = any(kind.endswith(_TRAINED) for kind in config.architectures or [])
    if _SEGMENTS in names or (is_trained and "model_input_names" in tokenizer.init_kwargs):
        return
    if tokenizer.is_fast and _knows_segments(config) and _tells_apart(tokenizer):
        tokenizer.model_input_names = [names[0], _SEGMENTS, *names[1:]]
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names


def separates_pairs(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether a model can tell where the first text of a pair ends, by a separator or segments."""
    sides = _pair(tokenizer).sequence_ids if tokenizer.is_fast else []
    if not {0, 1} <= {*sides} or None in sides[sides.index(0) : sides.index(1)]:
        return True
    return _SEGMENTS in tokenizer.model_input_names and _tells_apart(tokenizer)


def inseparable_pairs(first: str, second: str) -> InputError:
    """What is wrong with pairs that a model cannot tell apart.

    Args:
        first: how a template names the first text.
        second: how a template names the second text.
    """
    return InputError(
        "pairs: the model's tokenizer puts nothing between two texts (no separator and no "
        "segments), so that other pairs give the same tokens. Join them in one text, such as by "
        f"`text_template: {f'{first} | {second}'!r}`, without `pair_column`."
    )


def _values(config: "PreTrainedConfig") -> "Mapping[str, object]":
    """What a config holds; of a model with a head of one's own the config of its backbone."""
    backbone = getattr(config, "backbone", None)
    if isinstance(backbone, dict):
        return backbone
    return {"model_type": config.model_type, **vars(config)}


def _knows_segments(config: "PreTrainedConfig") -> bool:
    """Whether a model was trained to tell two texts apart."""
    values = _values(config)
    kind, num_segments = values.get("model_type"), values.get("type_vocab_size")
    if kind in ("xlnet", "funnel"):  # they compare segments, of which their configs say nothing
        return True
    # BigBird has the weights, but neither its pretraining nor its tokenizer ever used them.
    return kind != "big_bird" and isinstance(num_segments, int) and num_segments > 1


def _tells_apart(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the tokens of two texts get different segments; RoBERTa's are all of segment 0."""
    pair = _pair(tokenizer)
    sides = zip(pair.sequence_ids, pair.type_ids, strict=True)
    return len({segment for side, segment in sides if side is not None}) > 1


def _pair(tokenizer: "PreTrainedTokenizerBase") -> "Encoding":
    """Two texts of a token each."""
    return cast("list[Encoding]", tokenize(tokenizer, "a", "a").encodings)[0]
