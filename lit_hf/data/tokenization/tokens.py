"""Texts to token ids."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from datasets import Dataset

from lit_hf.data.cache import cached_map
from lit_hf.data.model_of_data import ModelOfData, tokenizer_from
from lit_hf.data.rows.fingerprint import text_key
from lit_hf.data.rows.row_weights import WEIGHT
from lit_hf.data.tokenization.templates import FilledText, TemplateTokenizer
from lit_hf.data.tokenization.unknown_tokens import warn_of_rows
from lit_hf.errors import InputError
from lit_hf.functional.offsets import completed_ends
from lit_hf.functional.padding import rounded_up
from lit_hf.functional.spans import Span
from lit_hf.pretrained.tokenizers import ask_for_segments, padded_at_the_end, tokenize

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import BatchEncoding, PreTrainedTokenizerBase

log = logging.getLogger(__name__)


def tokenizer_of(data: ModelOfData) -> "PreTrainedTokenizerBase":
    """The tokenizer of a data module's model, which gives all that the model reads.

    Raises:
        InputError: if it has no fast version, which alone tells the places of its tokens.
    """
    tokenizer = tokenizer_from(data.given, data.model_name)
    if not tokenizer.is_fast:
        raise InputError(
            f"{data.model_name}: its tokenizer, {type(tokenizer).__name__}, has no fast version "
            "(`tokenizers`), which is needed here; take another model."
        )
    config = data.model_config
    ask_for_segments(tokenizer, config)
    return padded_at_the_end(tokenizer, config)


def encode_batch(
    batch: Mapping[str, Sequence[object]],
    tokenizer: "Callable[..., BatchEncoding]",
    max_length: int,
    label_ids: Mapping[str, int] | None = None,
) -> dict[str, list[object]]:
    """Tokenise columns `text` and `pair` and number column `label`.

    Args:
        batch: columns of equal length: `text`, and where there are such `pair`, `label` and the
            places of a template's `values` in the text.
        tokenizer: a fast tokenizer, or a `TemplateTokenizer`.
        max_length: longest result in tokens; the longer text of a pair is cut first.
        label_ids: number of each class; None keeps the labels as they are.

    Returns:
        The tokenizer's columns without padding, `is_cut`, `labels`, `text`, what is left of the
        text or of the two, as it was written, and `key`, a number for all that was written.
    """
    sides = [list(batch[name]) for name in ("text", "pair") if name in batch]
    keys = [text_key(*map(str, texts)) for texts in zip(*sides, strict=True)]
    if "values" in batch:
        places = cast("Sequence[Sequence[Span]]", batch["values"])
        sides[0] = [FilledText(str(t), p) for t, p in zip(sides[0], places, strict=True)]
    tokens = tokenize(tokenizer, *sides, truncation=True, max_length=max_length)
    columns: dict[str, list[object]] = {name: list(tokens[name]) for name in tokens}
    encodings = tokens.encodings or []
    columns["key"] = [*keys]
    columns["is_cut"] = [bool(encoding.overflowing) for encoding in encodings]
    columns["text"] = [
        " ‖ ".join(_seen(str(text), encoding, side) for side, text in enumerate(texts))
        for encoding, *texts in zip(encodings, *sides, strict=True)
    ]
    if "label" in batch:
        columns["labels"] = [_label_id(label, label_ids) for label in batch["label"]]
    return columns


def encode_texts(
    examples: Dataset,
    settings: Mapping[str, Any],
    texts: TemplateTokenizer,
    key: str,
    split: str,
) -> Dataset:
    """Encode the rows of a split, cached, and say how many are cut or hold what is unknown.

    Args:
        examples: the columns of `encode_batch` and `id`.
        settings: its `max_length` and `label_ids`.
        texts: its tokenizer.
        key: determines the result, see `key_of`.
        split: its name.
    """
    remove = [name for name in examples.column_names if name not in ("id", WEIGHT)]
    encode = partial(encode_batch, tokenizer=texts, **settings)
    encoded = cached_map(examples, encode, key, f"tokenising {split}", remove)
    num_cut = sum(encoded.with_format("arrow")["is_cut"].to_pylist())
    if num_cut:
        log.info(
            f"{split}: {num_cut} of {encoded.num_rows} texts ({num_cut / encoded.num_rows:.1%})"
            f" are longer than {settings['max_length']} tokens and are cut."
        )
    warn_of_rows(encoded, texts.tokenizer, split, ["text"])
    return encoded.remove_columns("is_cut")


def _seen(text: str, encoding: "Encoding", side: int) -> str:
    """The part of a text that its tokens stand for, "…" where it was cut; side 1 is the pair."""
    if not encoding.overflowing:
        return text
    own, rest = _spans(encoding, side), [_spans(more, side) for more in encoding.overflowing]
    start, end = (own[0][0], own[-1][1]) if own else (0, 0)
    end = completed_ends(text, chain(own, *rest)).get(end, end)
    before, after = ("…" if text[:start].strip() else "", "…" if text[end:].strip() else "")
    return f"{before}{text[start:end]}{after}"


def _spans(encoding: "Encoding", side: int) -> list[Span]:
    """The places of the tokens of one of two texts."""
    places = zip(encoding.sequence_ids, encoding.offsets, strict=True)
    return [place for sequence, place in places if sequence == side]


def _label_id(label: object, ids: Mapping[str, int] | None) -> object:
    if ids is None:
        return label
    return [ids[key] for key in label] if isinstance(label, list) else ids[str(label)]


def check_padding(name: str, length: int, multiple: int, limit: int | None) -> None:
    """Refuse to pad to more tokens than a model takes.

    Args:
        name: the setting of the longest length.
        length: what it is set to.
        multiple: what batches are padded to a multiple of.
        limit: most tokens that the model takes; None for any number.

    Raises:
        InputError: naming all of them.
    """
    if limit is not None and (most := rounded_up(length, multiple)) > limit:
        raise InputError(
            f"`pad_to_multiple_of` {multiple} pads `{name}` {length} to {most} tokens, and the "
            f"model takes {limit} at most; set a smaller one of the two."
        )
