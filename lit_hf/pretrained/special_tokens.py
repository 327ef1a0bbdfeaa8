"""Special tokens that a text spells, such as `</s>` in a tweet: text, and not the token itself.

A tokenizer of transformers takes them for the real ones, unless its `split_special_tokens` is set,
which its tokenizer_config.json may say.
"""

import copy
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerBase

SPLIT_SPECIAL = "split_special_tokens"


def split_special_tokens(tokenizer: "PreTrainedTokenizerBase", default: bool = True) -> None:
    """Make a tokenizer read special tokens that a text spells as text, and keep that in its files.

    Args:
        tokenizer: changed in place.
        default: what holds where its files do not say it; false takes them for the real ones.
    """
    splits = bool(tokenizer.init_kwargs.setdefault(SPLIT_SPECIAL, default))
    tokenizer.split_special_tokens = splits
    if not tokenizer.is_fast:
        return
    tokenizer.backend_tokenizer.encode_special_tokens = splits  # as each call of the tokenizer does
    if splits and (names := still_special(tokenizer)):
        _cut_spellings(tokenizer, names)


def with_split_tokens(tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedTokenizerBase":
    """A tokenizer that says how it reads special tokens in a text; or a copy that does."""
    if SPLIT_SPECIAL in tokenizer.init_kwargs:
        return tokenizer
    own = copy.deepcopy(tokenizer)  # that of the user stays as it is
    split_special_tokens(own)
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


def still_special(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """The special tokens that a tokenizer finds in a text although it does not look for them."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()  # left from an earlier call; each call sets both as it needs
    backend.no_padding()

    def is_found(name: str, text: str) -> bool:
        encoding = backend.encode(text, add_special_tokens=False)
        # The whole spelling: parts of it may be unknown, and that token is special too.
        return any(
            number == backend.token_to_id(name) and end - start >= len(name)
            for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
        )

    names = [name for name in special_tokens(tokenizer) if len(name) > 1]
    return [n for n in names if any(is_found(n, text) for text in (n, f"a{n}a", f"a {n} a"))]


def _cut_spellings(tokenizer: "PreTrainedTokenizerBase", names: Iterable[str]) -> None:
    """Cut the spellings behind their first character, so that no piece of a text is one of them.

    The vocabulary of a Unigram model (T5, XLM-RoBERTa, DeBERTa-v3) holds `</s>` as a piece too, of
    score 0, which makes it likelier than any pieces of text. Texts without such a spelling are cut
    as before, and so are those in which special tokens are looked for: that comes first.
    """
    from tokenizers import Regex, pre_tokenizers

    places = "|".join(f"{re.escape(name[0])}(?={re.escape(name[1:])})" for name in names)
    backend = tokenizer.backend_tokenizer
    before = [] if backend.pre_tokenizer is None else [backend.pre_tokenizer]
    cut = pre_tokenizers.Split(Regex(places), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([*before, cut])
