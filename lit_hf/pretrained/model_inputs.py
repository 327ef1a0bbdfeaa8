"""What a model reads of its tokenizer: which tokens are of which text, and where padding stands."""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from lit_hf.errors import InputError
from lit_hf.pretrained.tokenizing import tokenize

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

_SEGMENTS = "token_type_ids"
_TRAINED = ("ForSequenceClassification", "ForQuestionAnswering", "BackboneWithHead")


def ask_for_segments(tokenizer: "PreTrainedTokenizerBase", config: "PreTrainedConfig") -> None:
    """Make a tokenizer give `token_type_ids` where its model tells two texts apart by them.

    Some classes of transformers 5 give them only on request, such as those of ALBERT and XLNet:
    https://github.com/huggingface/transformers/issues/48128. What is asked for here, the
    tokenizer's files keep.

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
    """A tokenizer that pads, and where its model wants it, whatever side its files name; or a copy.

    Behind padding a token has another position, so that what a causal model answers would depend on
    the longest text of the batch. Its heads look for the last token that is no padding; XLNet's
    reads the last place.

    Raises:
        InputError: if it has neither padding nor end token.
    """
    side = "left" if _values(config).get("model_type") == "xlnet" else "right"
    if tokenizer.padding_side == side and tokenizer.pad_token is not None:
        return tokenizer
    own = copy.deepcopy(tokenizer)
    own.padding_side = side
    add_padding(own, type(own).__name__)
    return own


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
        "segments), so that other pairs give the same tokens. Join them in one text that says "
        f"where the second begins: `text_template: {f'{first} | {second}'!r}`, without "
        "`pair_column`."
    )


def _values(config: "PreTrainedConfig") -> "Mapping[str, object]":
    """What a config holds; of a model with a head of one's own the config of its backbone."""
    backbone = getattr(config, "backbone", None)
    if isinstance(backbone, dict):
        return backbone
    return {"model_type": config.model_type, **vars(config)}


def _knows_segments(config: "PreTrainedConfig") -> bool:
    """Whether a model was trained to tell two texts apart."""
    known = _values(config)
    kind, num_segments = known.get("model_type"), known.get("type_vocab_size")
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
