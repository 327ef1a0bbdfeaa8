"""Texts that a tokenizer does not know, such as Korean ones for an English model."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor

from lit_hf.functional.text import printable
from lit_hf.pretrained.tokenizers import tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)
# Far above what emojis give in English tweets, far below what Korean gives with a cased English
# vocabulary. One that knows the letters of Korean syllables loses few tokens: no warning.
MOST_UNKNOWN = 0.2
_NUM_ROWS = 1000  # how many rows of a split are looked at


def warn_of_rows(
    encoded: Dataset, tokenizer: "PreTrainedTokenizerBase", split: str, columns: Sequence[str]
) -> None:
    """Warn of a split with many unknown tokens, counted in up to 1000 rows spread over it.

    Args:
        encoded: rows with `id`, `input_ids`, of one text or of several windows, and their texts.
        tokenizer: which made the ids.
        split: its name.
        columns: the columns of the texts.
    """
    step = -(-encoded.num_rows // _NUM_ROWS) or 1
    rows = encoded.select(range(0, encoded.num_rows, step))
    ids = rows.select_columns(["input_ids"]).with_format("arrow")[:].column("input_ids")
    while pa.types.is_list(ids.type):
        ids = pc.list_flatten(ids)
    share = unknown_share(ids.to_numpy(), tokenizer)
    if share > MOST_UNKNOWN:
        placed = (
            (f"row {row['id']!r}", text)
            for row in rows.select_columns(["id", *columns])
            for name in columns
            for text in row[name].split(" ‖ ")  # what stands between the texts of a pair
        )
        log.warning(f"{split}: {unknown_message(share, tokenizer, placed)}")


def warn_of_items(
    items: Sequence[object],
    token_ids: Sequence[Tensor],
    tokenizer: "PreTrainedTokenizerBase",
) -> bool:
    """Warn of many unknown tokens in the texts of a call.

    Args:
        items: the texts of each item, or what holds them.
        token_ids: of all their batches, padded.
        tokenizer: which made them.

    Returns:
        Whether there was something to say.
    """
    found = [ids.flatten().numpy() for ids in token_ids]
    share = unknown_share(np.concatenate(found), tokenizer) if found else 0.0
    if share > MOST_UNKNOWN:
        placed = ((f"item {n}", text) for n, item in enumerate(items) for text in _texts_in(item))
        log.warning(unknown_message(share, tokenizer, placed))
    return share > MOST_UNKNOWN


def _texts_in(value: object) -> Iterator[str]:
    """All texts in an item, such as a row of columns."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts_in(part)


def unknown_share(ids: NDArray[np.generic], tokenizer: "PreTrainedTokenizerBase") -> float:
    """The share of unknown tokens among those that are not special, such as [CLS] and padding.

    Args:
        ids: token ids of any shape.
        tokenizer: which made them. One of bytes knows every text.
    """
    unknown = tokenizer.unk_token_id
    count = 0 if unknown is None else int(np.count_nonzero(ids == unknown))
    others = [f"{name}_token_id" for name in ("bos", "eos", "pad", "cls", "sep", "mask")]
    if not count or unknown in [getattr(tokenizer, name) for name in others]:  # as of GPT-2
        return 0.0
    special = [number for number in tokenizer.all_special_ids if number != unknown]
    return count / int(np.count_nonzero(~np.isin(ids, special)))


def unknown_message(
    share: float, tokenizer: "PreTrainedTokenizerBase", placed: Iterable[tuple[str, str]]
) -> str:
    """What to say of texts with many unknown tokens, with the first unknown word and what to do.

    Args:
        share: of the unknown tokens.
        tokenizer: of the model.
        placed: places such as "row '7'", with the text that stands there.
    """
    words = ((place, word) for place, text in placed for word in _unknown_words(text, tokenizer))
    found = next(words, None)
    example = f", the first is {printable(repr(found[1]), 40)} in {found[0]}" if found else ""
    return (
        f"{share:.0%} of the tokens are unknown to the model ({tokenizer.unk_token}){example}. "
        "They all look alike to it. Take a model of the language of these texts; letters that are "
        'decomposed, as on macOS, are composed by `unicodedata.normalize("NFC", text)`.'
    )


def _unknown_words(text: str, tokenizer: "PreTrainedTokenizerBase") -> Iterator[str]:
    """The word around each unknown token."""
    tokens = tokenize(
        tokenizer, text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    for number, (start, end) in zip(tokens["input_ids"], tokens["offset_mapping"], strict=True):
        if number == tokenizer.unk_token_id:
            before, after = text[:start].split(" ")[-1], text[end:].split(" ")[0]
            yield f"{before}{text[start:end]}{after}".strip()
