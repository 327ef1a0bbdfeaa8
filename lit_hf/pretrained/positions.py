"""How many tokens a model takes, by the positions that it knows."""

from typing import TYPE_CHECKING, Literal

from lit_hf.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

# These number positions from behind the padding token's id on: of RoBERTa's 514 positions 0 and 1
# are of no token. BART has two more than its config says, so there none is lost.
_BEHIND_PADDING = frozenset(
    (
        *("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke"),
        *("markuplm", "mpnet", "prophetnet", "roberta", "roberta-prelayernorm", "xlm-roberta"),
        *("xlm-roberta-xl", "xmod"),
    )
)
_UNKNOWN = 10**6  # tokenizers whose files name no longest text have 1e30
_DEFAULT = 512


def positions_of(
    config: "PreTrainedConfig", part: Literal["encoder", "decoder"] = "encoder"
) -> int | None:
    """How many tokens a model takes at most; None where it has no limit, as T5.

    Args:
        config: of the model; of one with a head of one's own the backbone's counts.
        part: of an encoder-decoder the part that reads or the one that writes.
    """
    if isinstance(backbone := getattr(config, "backbone", None), dict):
        from transformers import AutoConfig

        config = AutoConfig.for_model(**backbone)
    names = (f"max_{part}_position_embeddings", "max_position_embeddings")
    found = [getattr(config, name, None) for name in names]
    limit = next((number for number in found if isinstance(number, int) and number > 0), None)
    # DeBERTa-v3 adds no positions to its tokens: its number is the largest distance.
    if limit is None or getattr(config, "position_biased_input", True) is False:
        return None
    if config.model_type == "led" and part == "encoder":  # it pads to whole windows of attention
        window = config.attention_window
        widest = window if isinstance(window, int) else max(window)
        return limit // widest * widest
    is_rotary = getattr(config, "position_embedding_type", None) == "rotary"  # of some ESM
    if not begins_behind_padding(config) or is_rotary:
        return limit
    padding = 1 if config.model_type == "mpnet" else int(config.pad_token_id or 0)
    looks_ahead = config.model_type == "prophetnet" and part == "decoder"  # by a token
    return limit - padding - 1 - looks_ahead


def begins_behind_padding(config: "PreTrainedConfig") -> bool:
    """Whether a model numbers its positions from behind the padding token's id on."""
    return config.model_type in _BEHIND_PADDING


def default_length(tokenizer: "PreTrainedTokenizerBase", config: "PreTrainedConfig") -> int:
    """The longest text in tokens where none is set: what tokenizer and model name, else 512."""
    limit = min(tokenizer.model_max_length, positions_of(config) or _UNKNOWN)
    return limit if limit < _UNKNOWN else _DEFAULT


def check_length(
    name: str, length: int, limit: int | None, model_name: str, num_special: int = -1
) -> None:
    """Refuse a length of more tokens than a model takes, or of none but special ones.

    Args:
        name: of the setting.
        length: what it is set to.
        limit: most tokens that the model takes; None for any number.
        model_name: of the model.
        num_special: how many tokens are special ones; -1 where that does not matter.

    Raises:
        InputError: naming all of them.
    """
    if num_special < length and (limit is None or length <= limit):
        return
    bounds = [] if limit is None else [f"at most {limit} (the positions of {model_name})"]
    bounds += [] if num_special < 0 else [f"above {num_special} (special tokens)"]
    raise InputError(f"Expected `{name}` to be {' and '.join(bounds)}, but got {length}.")
