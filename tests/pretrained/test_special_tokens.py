from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from lit_hf.data.tokenization.tokenizer_fingerprint import stamp_of
from lit_hf.pretrained.special_tokens import SPLIT_SPECIAL, special_tokens, with_split_tokens
from lit_hf.pretrained.tokenizer_files import save_tokenizer, write_for_plain
from lit_hf.pretrained.tokenizers import load_tokenizer
from tests.conftest import TWEETS
from tests.model_families import BERT, ROBERTA, T5, byte_pairs, sentence_pieces

KINDS = ["WordPiece", "T5", "XLMRoberta", "DebertaV2", "MBart", "Roberta"]
FolderOf = Callable[[str], Path]


@pytest.fixture
def folder_of(tiny_model: str, tmp_path: Path) -> FolderOf:
    """Folders with a tokenizer of a kind."""

    def folder(kind: str) -> Path:
        if kind == "WordPiece":
            return Path(tiny_model)
        make: Any = getattr(transformers, f"{kind}Tokenizer")
        config: Any = getattr(transformers, f"{kind}Config")
        parts = byte_pairs(*ROBERTA) if kind == "Roberta" else {"vocab": _pieces(kind)}
        make(**parts).save_pretrained(tmp_path / kind)
        config().save_pretrained(tmp_path / kind)
        return tmp_path / kind

    return folder


def _pieces(kind: str) -> list[tuple[str, float]]:
    return sentence_pieces(*{"T5": T5, "DebertaV2": BERT}.get(kind, ROBERTA))


def _places_of(tokenizer: PreTrainedTokenizerBase, text: str) -> list[tuple[int, tuple[int, int]]]:
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return list(zip(tokens["input_ids"], tokens["offset_mapping"], strict=True))


def _real(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    """The spellings in a text that become the special token."""
    names = {tokenizer.convert_tokens_to_ids(name): name for name in special_tokens(tokenizer)}
    return [
        names[token]
        for token, (start, end) in _places_of(tokenizer, text)
        if token in names and end - start >= len(names[token])  # not an unknown part of it
    ]


def _bare(text: str) -> str:
    return text.replace(" ", "").lower()  # as the pieces of a word have it


def _all_spelt(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    names = [name for name in special_tokens(tokenizer) if "NOTUSED" not in name]
    return [text for name in names for text in (name, f"x{name}y", f"x {name} y", f"<{name}{name}")]


@pytest.mark.parametrize("kind", KINDS)
def test_spelt_token__is_text_at_its_place(kind: str, folder_of: FolderOf) -> None:
    folder = folder_of(kind)
    plain, tokenizer = AutoTokenizer.from_pretrained(folder), load_tokenizer(str(folder))
    assert _real(plain, "x".join(special_tokens(plain)))
    for text in _all_spelt(tokenizer):
        assert _real(tokenizer, text) == []
        covered = {
            at for _, (start, end) in _places_of(tokenizer, text) for at in range(start, end)
        }
        assert {at for at, sign in enumerate(text) if sign != " "} <= covered
        ids = [token for token, _ in _places_of(tokenizer, text)]
        if tokenizer.unk_token_id not in ids:  # as an answer that is written
            written = str(tokenizer.decode(ids, skip_special_tokens=True))
            assert _bare(written) == _bare(text)


@pytest.mark.parametrize("kind", KINDS)
def test_other_texts__are_read_as_before(kind: str, folder_of: FolderOf) -> None:
    folder = folder_of(kind)
    plain, tokenizer = AutoTokenizer.from_pretrained(folder), load_tokenizer(str(folder))
    texts = (TWEETS / "train.csv").read_text(encoding="utf-8").splitlines()[:300]
    texts += ["a </ s> b", "SEP] [SE P]", "<", " s>", "불 < > [ ]", ""]
    assert tokenizer(texts)["input_ids"] == plain(texts)["input_ids"]
    for words in (plain, tokenizer):
        words.add_tokens(["callowmere", "[E1]"])  # of the user's domain, and not special
    word = tokenizer.convert_tokens_to_ids("[E1]")
    marked = "[E1] fire [/E1] in callowmere"
    assert word in tokenizer(marked)["input_ids"]
    assert tokenizer(marked)["input_ids"] == plain(marked)["input_ids"]


@pytest.mark.parametrize("kind", KINDS)
def test_saved_tokenizer__reads_the_same_here_and_in_plain_transformers(
    kind: str, folder_of: FolderOf, tmp_path: Path
) -> None:
    folder, saved = folder_of(kind), tmp_path / "saved"
    tokenizer = load_tokenizer(str(folder))
    texts = [*_all_spelt(tokenizer)[:40], "fire in town", "a  b"]
    save_tokenizer(tokenizer, saved)
    transformers.AutoConfig.from_pretrained(folder).save_pretrained(saved)
    assert stamp_of(load_tokenizer(str(saved))) == stamp_of(tokenizer)
    write_for_plain(saved, ["{"])
    plain = AutoTokenizer.from_pretrained(saved)
    if kind != "MBart":  # its class makes its parts anew, and sets the language
        assert plain(texts, texts, padding=True) == tokenizer(texts, texts, padding=True)
        assert plain.padding_side == tokenizer.padding_side
        assert plain.model_max_length == tokenizer.model_max_length
    assert load_tokenizer(str(saved))(texts)["input_ids"] == tokenizer(texts)["input_ids"]


def test_files__that_say_it_are_followed(tiny_model: str, tmp_path: Path) -> None:
    for said in (False, True):
        plain = AutoTokenizer.from_pretrained(tiny_model, split_special_tokens=said)
        plain.save_pretrained(tmp_path)
        transformers.AutoConfig.from_pretrained(tiny_model).save_pretrained(tmp_path)
        tokenizer = load_tokenizer(str(tmp_path), special_tokens_are_text=not said)
        assert (_real(tokenizer, "a [SEP] b") == []) is said
        assert stamp_of(tokenizer) == stamp_of(load_tokenizer(str(tmp_path)))
    real = load_tokenizer(tiny_model, special_tokens_are_text=False)
    assert _real(real, "a [SEP] b") == ["[SEP]"]
    assert stamp_of(real) != stamp_of(load_tokenizer(tiny_model))


def test_settled__leaves_the_tokenizer_of_the_user_alone(tiny_t5: str) -> None:
    own = AutoTokenizer.from_pretrained(tiny_t5)
    before = own.backend_tokenizer.to_str()
    copy = with_split_tokens(own)
    assert (_real(own, "a </s> b"), _real(copy, "a </s> b")) == (["</s>"], [])
    assert (own.backend_tokenizer.to_str(), SPLIT_SPECIAL in own.init_kwargs) == (before, False)
    assert with_split_tokens(copy) is copy


@pytest.mark.parametrize(("literal", "real"), [("{x}", []), (" [SEP] ", ["[SEP]", "[MASK]"])])
def test_template__that_plain_transformers_gets_filled_keeps_its_tokens(
    literal: str, real: list[str], tiny_model: str, tmp_path: Path
) -> None:
    load_tokenizer(tiny_model).save_pretrained(tmp_path)
    transformers.AutoConfig.from_pretrained(tiny_model).save_pretrained(tmp_path)
    write_for_plain(tmp_path, ["a", literal])
    assert _real(AutoTokenizer.from_pretrained(tmp_path), "fire [SEP] in [MASK]") == real
    assert _real(load_tokenizer(str(tmp_path)), "fire [SEP] in [MASK]") == []
