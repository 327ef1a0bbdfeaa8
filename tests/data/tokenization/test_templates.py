import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerBase

from lit_hf.data.tokenization.templates import FilledText, TemplateTokenizer, fill, trimmed
from lit_hf.pretrained.tokenizers import load_tokenizer
from tests.model_families import write_texts

SPELT = ["[SEP]", "[MASK]", "</s>", "<pad>"]
VALUES = [
    ("fire", "in town"),
    ("a  b ", " c"),
    ("", ""),
    ("불", "😀 it's, ok?"),
    ("x", "\U000f0000"),
]


@pytest.fixture(params=["[SEP]", "</s>"])
def tokenizer(request: pytest.FixtureRequest, tiny_model: str, tiny_t5: str) -> object:
    """Of words and of sentence pieces, each with its own tokens, and one that takes white space."""
    tokenizer = load_tokenizer(tiny_model if request.param == "[SEP]" else tiny_t5)
    broad = AddedToken("<e>", lstrip=True, rstrip=True, special=True)
    tokenizer.add_special_tokens({"extra_special_tokens": [broad]})
    return tokenizer


def _template(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    return text.replace("#", str(tokenizer.sep_token or tokenizer.eos_token))


def _filled(template: str, values: Sequence[tuple[str, str]]) -> list[FilledText]:
    return [fill(template, {"a": a, "b": b}) for a, b in values]


@pytest.mark.parametrize(
    "text",
    ["{a} # {b}", "{a}#{b}", "# {a} ## {b} #", "x{{#}} {b}, {a}:#", "{a} <e>{b}#", "{a}<e>{b}"],
)
def test_template__with_special_tokens_is_read_as_the_tokenizer_reads_them(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> None:
    """Ids, places, cuts and pairs, whatever stands beside the tokens."""
    texts = _filled(template := _template(tokenizer, text), VALUES)
    settings = {"truncation": True, "max_length": 9, "return_offsets_mapping": True}
    for pairs in ([], [["old town"] * len(texts)]):
        found = TemplateTokenizer(tokenizer, template)(texts, *pairs, **settings)
        plain = tokenizer([str(t) for t in texts], *pairs, **settings, split_special_tokens=False)
        assert dict(found) == dict(plain)
        for ours, theirs in zip(found.encodings or [], plain.encodings or [], strict=True):
            assert (ours.offsets, ours.sequence_ids) == (theirs.offsets, theirs.sequence_ids)
            assert len(ours.overflowing) == len(theirs.overflowing)


@pytest.mark.parametrize("spelt", SPELT)
def test_value__that_spells_a_token_is_text(tokenizer: PreTrainedTokenizerBase, spelt: str) -> None:
    template = _template(tokenizer, "{a} # {b}")
    (text,) = _filled(template, [(f"fire {spelt}", f"{spelt}{spelt} in")])
    (ids,) = TemplateTokenizer(tokenizer, template)([text])["input_ids"]
    mark = tokenizer.sep_token_id if tokenizer.sep_token else tokenizer.eos_token_id
    assert ids.count(mark) == 2  # the template's, and the one at the end
    middle = ids.index(mark)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id, tokenizer.cls_token_id}
    assert special & {*ids[:middle], *ids[middle + 1 : -1]} == set()
    plain = tokenizer(f"fire {spelt} ", add_special_tokens=False)["input_ids"]
    assert [token for token in ids[:middle] if token != tokenizer.cls_token_id] == plain


def test_text__of_no_token_is_the_end_token(tmp_path: Path) -> None:
    """GPT-2's tokenizer adds no special tokens, and a model cannot run on nothing."""
    tokenizer = load_tokenizer(write_texts("GPT2", tmp_path))
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    tokens = TemplateTokenizer(tokenizer, "")(["fire", "", "fire"])
    end = [tokenizer.eos_token_id]
    assert tokens["input_ids"] == [tokens["input_ids"][0], end, tokens["input_ids"][2]]
    assert (tokens["attention_mask"][1], tokens["token_type_ids"][1]) == ([1], [0])
    tokenizer.pad_token, tokenizer.eos_token = "a", None
    (ids,) = TemplateTokenizer(tokenizer, "")([""])["input_ids"]
    assert ids == [tokenizer.pad_token_id]


def test_template__without_special_tokens_goes_to_the_tokenizer_itself(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for template in ("", "{a}: {b} [SEP </ s>"):
        texts = TemplateTokenizer(tokenizer, template)
        assert not texts.has_marks
        filled = _filled("{a}: {b}", [("[SEP]", "</s>")])
        with monkeypatch.context() as patch:
            patch.delattr("copy.deepcopy")  # no copy is made
            assert dict(texts(filled)) == dict(tokenizer([str(text) for text in filled]))
    real = load_tokenizer(tokenizer.name_or_path, special_tokens_are_text=False)
    assert not TemplateTokenizer(real, _template(real, "{a} # {b}")).has_marks


@given(st.text(" a\n", max_size=4), st.text(" a\n", max_size=4))
def test_trimmed__keeps_the_places_of_values(a: str, b: str) -> None:
    text = fill(" {a} : {b}\n", {"a": a, "b": b})
    short = trimmed(text)
    assert str(short) == str(text).strip()
    starts = len(text) - len(text.lstrip())
    for (start, end), value in zip(short.values, (a, b), strict=True):
        assert 0 <= start <= end <= len(short)
        assert short[start:end].strip() == value.strip()
        assert start + starts >= 1
    assert pickle.loads(pickle.dumps(short)).values == short.values
