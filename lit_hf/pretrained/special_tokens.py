"""Special tokens that a text spells, such as `</s>` in a tweet: text, and not the token itself.

A tokenizer of transformers takes them for the real ones, unless its `split_special_tokens` is set,
which its tokenizer_config.json may say.
"""

import copy
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lit_hf.pretrained.tokenizer_files import read_settings, write_settings

if TYPE_CHECKING:
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerBase

KEY = "split_special_tokens"


def settle(tokenizer: "PreTrainedTokenizerBase", default: bool = True) -> None:
    """Make a tokenizer read special tokens that a text spells as text, and keep that in its files.

    Args:
        tokenizer: changed in place.
        default: what holds where its files do not say it; false takes them for the real ones.
    """
    splits = bool(tokenizer.init_kwargs.setdefault(KEY, default))
    tokenizer.split_special_tokens = splits
    if not tokenizer.is_fast:
        return
    tokenizer.backend_tokenizer.encode_special_tokens = splits  # as each call of the tokenizer does
    if splits and (names := _still_special(tokenizer)):
        _cut_spellings(tokenizer, names)


def settled(tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedTokenizerBase":
    """A tokenizer that says how it reads special tokens in a text; else a copy, which is settled.

    A tokenizer that the user has made stays as it is.
    """
    if KEY in tokenizer.init_kwargs:
        return tokenizer
    own = copy.deepcopy(tokenizer)
    settle(own)
    return own


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> "dict[str, AddedToken]":
    """The special tokens by their spelling, in order of it."""
    added = tokenizer.added_tokens_decoder.values()
    return {str(token): token for token in sorted(added, key=str) if token.special}


def spelling(names: Iterable[str]) -> re.Pattern[str]:
    """Finds special tokens in a text as a tokenizer does: the longest that begins at a place.

    >>> spelling(["<s>", "<s>x"]).findall("a <s>x <s>")
    ['<s>x', '<s>']
    """
    return re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or r"(?!)")


def _still_special(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """The special tokens that a tokenizer finds in a text although it does not look for them."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()  # left from an earlier call; each call sets both as it wants
    backend.no_padding()

    def is_found(name: str, text: str) -> bool:
        encoding = backend.encode(text, add_special_tokens=False)
        # The whole spelling: parts of it may be unknown, and that token is special too.
        return any(
            number == backend.token_to_id(name) and end - start >= len(name)
            for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
        )

    return [
        name
        for name in special_tokens(tokenizer)
        if len(name) > 1  # of a single character there is no other piece of text
        and any(is_found(name, text) for text in (name, f"a{name}a", f"a {name} a"))
    ]


def _cut_spellings(tokenizer: "PreTrainedTokenizerBase", names: Iterable[str]) -> None:
    """Cut the spellings behind their first character, so that no piece of a text is one of them.

    The vocabulary of a Unigram model (T5, XLM-RoBERTa, DeBERTa-v3) holds `</s>` as a piece too, of
    score 0, which makes it likelier than any pieces of text. Texts without such a spelling are cut
    as before, and so are those in which special tokens are looked for: that comes first.
    """
    from tokenizers import Regex, pre_tokenizers

    rests: dict[str, list[str]] = {}
    for name in names:
        rests.setdefault(name[0], []).append(re.escape(name[1:]))
    places = [f"{re.escape(first)}(?={'|'.join(rest)})" for first, rest in rests.items()]
    backend = tokenizer.backend_tokenizer
    cut = pre_tokenizers.Split(Regex("|".join(places)), "isolated")
    before = [] if backend.pre_tokenizer is None else [backend.pre_tokenizer]
    backend.pre_tokenizer = pre_tokenizers.Sequence([*before, cut])


def note_former_reading(folder: Path) -> None:
    """Note in a tokenizer's files that say nothing of it that special tokens in texts are real.

    For checkpoints that were written before texts were read otherwise.
    """
    config = read_settings(folder)
    if config and KEY not in config:
        write_settings(folder, {**config, KEY: False})


def take_parts_as_they_are(tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Let the files of a tokenizer name the class of no model, which takes their parts as they are.

    Args:
        tokenizer: which was written.
        folder: its files.
    """
    names = ("model_input_names", "padding_side", "truncation_side", "pad_token_type_id")
    own = {name: getattr(tokenizer, name) for name in names}
    settings = {**read_settings(folder), **own, "tokenizer_class": "PreTrainedTokenizerFast"}
    write_settings(folder, settings)


def write_for_plain(folder: Path, literals: Iterable[str]) -> None:
    """Make plain transformers read texts by the tokenizer of a folder as the training did.

    Texts of a template with special tokens are put together by whoever uses plain transformers, who
    needs these to be real: of such a template the files say nothing, and special tokens are real in
    its values too.

    Args:
        folder: of a model with its tokenizer.
        literals: what a template holds besides its values.
    """
    from transformers import AutoTokenizer

    config = read_settings(folder)
    if not config.get(KEY):
        return
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if any(map(spelling(special_tokens(tokenizer)).search, literals)):
        write_settings(folder, {name: value for name, value in config.items() if name != KEY})
    elif tokenizer.is_fast and _still_special(tokenizer) and not hasattr(tokenizer, "src_lang"):
        # The class of T5's and similar tokenizers makes its parts again, without the cut in
        # tokenizer.json. Those of models that translate also set the language, so they stay.
        take_parts_as_they_are(tokenizer, folder)
