"""Templates: texts that are put together of values, and what of them are special tokens."""

import copy
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from string import Formatter
from typing import TYPE_CHECKING, Self, cast

from lit_hf.functional.spans import Span
from lit_hf.pretrained.special_tokens import special_tokens, spelling
from lit_hf.pretrained.tokenizers import tokenize

if TYPE_CHECKING:
    from tokenizers import AddedToken
    from transformers import BatchEncoding, PreTrainedTokenizerBase

_SIGN = 0x10FF00  # the first of the last private-use characters, which no font or keyboard has


class FilledText(str):
    """A text made by a template, which knows where in it the values stand.

    Attributes:
        values: first and behind the last character of each value.
    """

    values: tuple[Span, ...]

    def __new__(cls, text: str, values: Sequence[Sequence[int]] = ()) -> Self:
        """Join a text and the places of its values."""
        filled = super().__new__(cls, text)
        filled.values = tuple((start, end) for start, end in values)
        return filled


def fill(template: str, values: Mapping[str, object]) -> FilledText:
    """Put values into a template with plain names in braces.

    >>> text = fill("{a}: {{{b}}}", {"a": "one", "b": 2})
    >>> text, [text[start:end] for start, end in text.values]
    ('one: {2}', ['one', '2'])
    """
    text, places = "", []
    for literal, name, _, _ in Formatter().parse(template):
        text += literal
        if name is not None:
            start, text = len(text), text + str(values[name])
            places.append((start, len(text)))
    return FilledText(text, places)


def trimmed(text: FilledText) -> FilledText:
    """A text without the white space at its ends."""
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())

    def moved(place: int) -> int:
        return max(min(place, end) - start, 0)

    return FilledText(text.strip(), [(moved(first), moved(last)) for first, last in text.values])


def literals(template: str) -> list[str]:
    """What a template holds besides its values.

    >>> literals("[CLS] {a} [SEP] {{b}}")
    ['[CLS] ', ' [SEP] {', 'b}']
    """
    return [literal for literal, *_ in Formatter().parse(template)]


class TemplateTokenizer:
    """Tokenises texts of a template: its own special tokens are real, those in its values are text.

    A tokenizer reads a spelling either always or never as the token. So a copy that never does gets
    a stand-in for each special token of the template: an added token of as many private characters,
    found where and as the token would be found, before anything else is done with the text. White
    space, prefixes, cuts and places of characters are therefore those of the token itself, and what
    is left to do is to put its number in place of the stand-in's.

    Args:
        tokenizer: the tokenizer of the model; texts without special tokens in their template, and
            those of a tokenizer for which special tokens in a text are always real, go to it.
        template: what the texts are made by; "" for texts that are made by none.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", template: str) -> None:
        self.tokenizer = tokenizer
        self._marks: dict[str, AddedToken] = {}
        if tokenizer.split_special_tokens:
            known = special_tokens(tokenizer)
            found = spelling(known).findall("\n".join(literals(template)))
            self._marks = {name: known[name] for name in sorted(set(found))}
        self._pattern = spelling(self._marks)
        # For each special token of the template a text of its length that stands for it.
        self._stand_ins = {k: chr(_SIGN + n) * len(k) for n, k in enumerate(self._marks)}
        self._copy = self._copy_with_stand_ins() if self._marks else tokenizer

    @property
    def has_marks(self) -> bool:
        """Whether the template holds special tokens, which a text alone does not have."""
        return bool(self._marks)

    def __call__(
        self,
        texts: Sequence[str],
        *pairs: Sequence[str],
        **settings: bool | int,
    ) -> "BatchEncoding":
        """Tokenise as the tokenizer does; a text of no token is the token that ends a text.

        Args:
            texts: each a `FilledText` where the template holds special tokens.
            pairs: second texts, which are made by no template.
            settings: of the tokenizer's call.
        """
        if not self._marks:
            plain = [str(text) for text in texts]
            return _never_empty(tokenize(self.tokenizer, plain, *pairs, **settings), self.tokenizer)
        marked = [self._marked(text) for text in texts]
        tokens = tokenize(self._copy, marked, *pairs, **settings)
        numbers = {
            self._copy.convert_tokens_to_ids(stand_in): self._copy.convert_tokens_to_ids(name)
            for name, stand_in in self._stand_ins.items()
        }
        tokens["input_ids"] = [
            [numbers.get(token, token) for token in row] for row in tokens["input_ids"]
        ]
        return tokens

    def _copy_with_stand_ins(self) -> "PreTrainedTokenizerBase":
        """A copy of the tokenizer that finds them where it would find the special tokens."""
        tokenizer = copy.deepcopy(self.tokenizer)
        added = [_as_text(self._stand_ins[name], token) for name, token in self._marks.items()]
        tokenizer.add_tokens(added)
        return tokenizer

    def _marked(self, text: str) -> str:
        """A text with stand-ins for the special tokens of its template."""
        places = cast("FilledText", text).values
        ends = [0, *(end for _, end in places)]
        starts = [*(start for start, _ in places), len(text)]
        parts = [
            self._pattern.sub(lambda found: self._stand_ins[found[0]], text[end:start])
            for end, start in zip(ends, starts, strict=True)
        ]
        values = [text[start:end] for start, end in places]
        return "".join(chain.from_iterable(zip_longest(parts, values, fillvalue="")))


def _never_empty(tokens: "BatchEncoding", tokenizer: "PreTrainedTokenizerBase") -> "BatchEncoding":
    """Let a text of no token be the end token alone, as a model cannot run on nothing.

    Such is an empty text where the tokenizer adds no special tokens, as GPT-2's.
    """
    end = tokenizer.pad_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    alone = {"input_ids": end, "attention_mask": 1}
    empty = [row for row, ids in enumerate(tokens["input_ids"]) if not ids]
    for row in empty:
        for name in tokens:
            tokens[name][row] = [alone.get(name, 0)]
    return tokens


def _as_text(stand_in: str, token: "AddedToken") -> "AddedToken":
    """What is found in a text where a special token would be, though none is looked for."""
    from tokenizers import AddedToken

    sides = {"lstrip": token.lstrip, "rstrip": token.rstrip}
    return AddedToken(stand_in, special=False, normalized=False, single_word=False, **sides)
