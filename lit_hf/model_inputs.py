"""What a model reads besides token ids, asked of its tokenizer: which tokens are of which text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

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


def _knows_segments(config: "PreTrainedConfig") -> bool:
    """Whether a model was trained to tell two texts apart."""
    backbone = getattr(config, "backbone", None)  # of a model with a head of one's own
    known = cast("Mapping[str, object]", backbone if isinstance(backbone, dict) else vars(config))
    kind = known.get("model_type", config.model_type)
    num_segments = known.get("type_vocab_size")
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
    return cast("list[Encoding]", tokenizer("a", "a").encodings)[0]
