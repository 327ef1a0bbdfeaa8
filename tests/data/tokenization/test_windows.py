import unicodedata
import zlib
from base64 import b85decode
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lit_hf.data.tokenization.windows import Windows, encode_windows, pad_windows, question_room
from lit_hf.functional.offsets import joins

CONTEXT = "fire in the old town, people leave and the smoke is over the river. " * 8


@pytest.fixture
def tokenizer(tiny_model: str) -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tiny_model)
    return loaded


def _encode(
    tokenizer: PreTrainedTokenizerBase, answer: str, max_length: int = 32, stride: int = 8
) -> Windows:
    batch: dict[str, list[object]] = {
        "question": ["where?", "who leaves?"],
        "context": [CONTEXT, "people leave"],
        "answers": [[answer], []],
        "starts": [[CONTEXT.find(answer, 100)], []],
    }
    return encode_windows(batch, tokenizer, max_length, stride)


def _rows(windows: Windows, name: str, question: int = 0) -> list[list[int]]:
    found = windows[name][question]
    assert isinstance(found, list)
    return found


def _numbers(windows: Windows, name: str) -> list[int]:
    """One number for each window of the first question."""
    found = windows[name][0]
    assert isinstance(found, list)
    return found


def test_windows__cover_the_context_with_the_stride_in_common(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    windows = _encode(tokenizer, "smoke")
    starts, ends = _rows(windows, "char_starts"), _rows(windows, "char_ends")
    places = [
        [(a, b) for a, b in zip(*window, strict=True) if a < b]
        for window in zip(starts, ends, strict=True)
    ]
    assert all(len(ids) <= 32 for ids in _rows(windows, "input_ids"))
    assert len(places) > 3
    for first, second in pairwise(places):
        assert first[-8:] == second[:8]
    covered = {place for window in places for place in window}
    letters = "".join(CONTEXT[a:b] for a, b in sorted(covered))
    assert letters == CONTEXT.replace(" ", "")
    assert len(_rows(windows, "input_ids", 1)) == 1


def test_windows__hold_the_answer_where_they_say(tokenizer: PreTrainedTokenizerBase) -> None:
    answer = "over the river"
    windows = _encode(tokenizer, answer)
    held = 0
    for window, (first, last) in enumerate(
        zip(_numbers(windows, "first_token"), _numbers(windows, "last_token"), strict=True)
    ):
        nothing = _numbers(windows, "no_answer_token")[window]
        if first == nothing:
            assert last == nothing
            continue
        held += 1
        start = _rows(windows, "char_starts")[window][first]
        end = _rows(windows, "char_ends")[window][last]
        assert CONTEXT[start:end] == answer
        assert start == CONTEXT.find(answer, 100)
    assert held == windows["num_held"][0]
    assert held > 0
    assert windows["num_held"][1] == 0


def test_windows__of_an_answer_too_long_for_them_hold_none(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    assert _encode(tokenizer, CONTEXT[100:400])["num_held"] == [0, 0]


def test_windows__are_the_same_where_the_tokenizer_cuts_at_the_left(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    wanted = _encode(tokenizer, "smoke")
    tokenizer.truncation_side, tokenizer.padding_side = "left", "left"
    assert _encode(tokenizer, "smoke") == wanted
    assert (tokenizer.truncation_side, tokenizer.padding_side) == ("left", "left")


def test_room__is_what_the_tokenizer_takes(tokenizer: PreTrainedTokenizerBase) -> None:
    """A question of as many tokens works; one more, and tokenizers panic or bring nothing new."""
    room = question_room(tokenizer, 24, 8)
    question = " ".join(["where"] * 100)
    ids = tokenizer(question, add_special_tokens=False)["input_ids"]
    per_word = len(ids) // 100
    words = room // per_word
    batch = {"question": [" ".join(["where"] * words)], "context": [CONTEXT]}
    windows = encode_windows(batch, tokenizer, 24, 8)
    ends = [max(row) for row in _rows(windows, "char_ends")]
    assert ends == sorted(set(ends))
    assert ends[-1] == len(CONTEXT.rstrip())


def test_padding__lays_all_windows_under_each_other(tokenizer: PreTrainedTokenizerBase) -> None:
    windows = _encode(tokenizer, "smoke")
    count = len(_rows(windows, "input_ids"))
    batch = pad_windows(windows, int(tokenizer.pad_token_id or 0))
    assert batch["window_of"].tolist() == [0] * count + [1]
    assert batch["input_ids"].shape == (count + 1, 32)
    assert batch["offsets"].shape == (count + 1, 32, 2)
    short = len(_rows(windows, "input_ids", 1)[0])
    assert batch["attention_mask"][-1].tolist() == [1] * short + [0] * (32 - short)
    assert not batch["offsets"][-1, short:].any()
    assert (batch["input_ids"][-1, short:] == tokenizer.pad_token_id).all()
    assert torch.equal(batch["first_token"][-1:], batch["no_answer_token"][-1:])


# Words in which letters change their number: composed, decomposed, of other case, stripped.
WORDS = (
    "서울은 크다 ㄱㅏ café été Việt İstanbul Straße ẞ ﬁn oﬃce １２３ ㈱ ½ 1.5 ①②, "
    "e\u0307\u0323 がぎ ｶﾞｽ 京都 👩\u200d👩\u200d👧 ❤\ufe0f ☎\ufe0e 🇰🇷 👍🏽 مُحَمَّدٌ ﷺ น้ำ กำ "
    "हिन्दी क्\u200dष a\u200bb co\u00adop i\u0308\u0301 q\u0307\u0323 \u212b"
)
# SentencePiece's kind of normalizer: é, 서 and 울 are composed, ﬁ, ½, １ and ２ decomposed, U+200B
# and U+00A0 become nothing and a space.
CHARSMAP = (
    "c-j@yd61A}7y$5Rzs(<wnrX%#=?^m{$4W7!ND{e8jtD7K+G@K<p$oh0?(EKr-L-Tm7S-r>bk}y%wMC97QM;6_)|I"
    "eD_<i5ZZ=QGN`QG>Y=6#+g8bw5DMr3!*jOs`t@0^Hc5xJF3BQnG@$ZwfMaZzT}G)bbQA~Om~lb9`kmR!xyBns9fu"
    "_(>kzqmz2VPz7{<#MyUe`Q3~Gm$>Ic@DEJH<R+l5oMfd-AZynT@tOub2*>$xR49Dh%7Fq4ee;lrCdUL)-)t>nb?6"
    "&bmR&y$1g-@uA&Q9)0J!JMt82|damO}Zs2Ba;#O{<2e;9a+qsiFxSPAUhhFsNUhd~U`tSgKd60+b$0Iz<0Q&PN1I"
    "cC(Ll{gBLmAF6MlyoO7{zEFXADp9Bx8A+rx?#TCNhDv9FusCXUR*8!wWo50W}Ix>rx7>iz%XnU(Sx0EWXIgyhK^r"
    "LcBsbuTsGjUSk?ld7bIZWCm~Y25(WxJG{+oX0fqJ#2j%h?=qixEKK`_#Vq1|-s3|)U@1#j&N5cAg4L{|D(x56v6c"
    "<2XH)u3K4LRl_?T^MWe3~YNj0Cai`{(6=X}POe8E@jVJ~0v4g2_({T$%C^sYI`_tbKTANY~O9HEY59OWnK(^~K|z"
    "ws--bDTdo!C(BzNgDW@Q=H}>{^Q?tGFuv<_O*HW9gNT5oY*us>hotr{qz;_Kbf+mT>"
)
NORMALIZERS: dict[str, Callable[[], Any]] = {
    "none": lambda: normalizers.Sequence([]),
    "NFC": normalizers.NFC,
    "NFD": normalizers.NFD,
    "NFKC": normalizers.NFKC,
    "NFKD": normalizers.NFKD,
    "Bert": normalizers.BertNormalizer,
    "Bert, cased": lambda: normalizers.BertNormalizer(lowercase=False),
    "Lowercase": normalizers.Lowercase,
    "StripAccents": lambda: normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.NFC()]
    ),
    "Precompiled": lambda: normalizers.Precompiled(zlib.decompress(b85decode(CHARSMAP))),
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def _words() -> tuple[Any, Any, Any]:
    trainer = trainers.WordLevelTrainer(special_tokens=SPECIAL, show_progress=False)
    return models.WordLevel(unk_token="[UNK]"), pre_tokenizers.WhitespaceSplit(), trainer


def _pieces() -> tuple[Any, Any, Any]:
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False)
    return models.WordPiece(unk_token="[UNK]"), pre_tokenizers.BertPreTokenizer(), trainer


def _unigrams() -> tuple[Any, Any, Any]:
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False
    )
    return models.Unigram(), pre_tokenizers.Metaspace(), trainer


def _bytes() -> tuple[Any, Any, Any]:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    return models.BPE(), pre_tokenizers.ByteLevel(), trainer


def _built(parts: tuple[Any, Any, Any], normalizer: Any) -> PreTrainedTokenizerBase:  # noqa: ANN401 - tokenizers has no types
    """A tokenizer trained on `WORDS` in all forms."""
    tokenizer = Tokenizer(parts[0])
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, parts[1]
    forms = [unicodedata.normalize(form, WORDS) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    tokenizer.train_from_iterator(forms, parts[2])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # has no types
        tokenizer_object=tokenizer,
        **dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), SPECIAL, strict=True)),
    )


def _taught(
    tokenizer: PreTrainedTokenizerBase, context: str, answers: list[tuple[int, int]]
) -> list[str]:
    """What each answer, told by its place, is taught as: the piece of the context."""
    batch: dict[str, list[object]] = {
        "question": ["x"] * len(answers),
        "context": [context] * len(answers),
        "answers": [[context[start:end]] for start, end in answers],
        "starts": [[start] for start, _ in answers],
    }
    windows = encode_windows(batch, tokenizer, 512, 0)
    taught = []
    for question in range(len(answers)):
        first, last = (windows[name][question] for name in ("first_token", "last_token"))
        assert isinstance(first, list)
        assert isinstance(last, list)
        start = _rows(windows, "char_starts", question)[0][first[0]]
        end = _rows(windows, "char_ends", question)[0][last[0]]
        taught.append(context[start:end].strip())
    return taught


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("parts", [_words, _pieces, _unigrams, _bytes])
def test_tokens__stand_for_whole_characters(
    parts: Callable[[], tuple[Any, Any, Any]], normalizer: str, form: str
) -> None:
    """Each word is taught as it is, and each piece of the text that lies between two tokens."""
    context = unicodedata.normalize(form, WORDS)  # type: ignore[arg-type]  # a form
    tokenizer = _built(parts(), NORMALIZERS[normalizer]())
    ends = [end for end, letter in enumerate(f"{context} ") if letter == " "]
    words = list(zip([0, *(end + 1 for end in ends)], ends, strict=False))
    assert _taught(tokenizer, context, words) == context.split(" ")

    batch: dict[str, list[object]] = {"question": ["x"], "context": [context]}
    windows = encode_windows(batch, tokenizer, 512, 0)
    tokens = zip(*(_rows(windows, name)[0] for name in ("char_starts", "char_ends")), strict=True)
    spans = sorted({span for span in tokens if span[0] < span[1]})
    claimed = {place for span in spans for place in range(*span)}
    for place in set(range(len(context))) - claimed:
        assert not joins(context[place]) or context[place - 1].isspace(), ascii(
            context[place - 9 :]
        )
    borders = {
        place
        for place in range(len(context) + 1)
        if not any(start < place < end for start, end in spans)
    }
    pieces = [
        (start, end)
        for start in sorted({start for start, _ in spans} & borders)
        for end in sorted({end for _, end in spans} & borders)
        if start < end <= start + 12
    ]
    pieces = pieces[:: max(1, len(pieces) // 25)]
    assert len(pieces) > 20
    assert _taught(tokenizer, context, pieces) == [context[a:b].strip() for a, b in pieces]


def test_tokens__at_the_end_of_a_window_take_in_the_rest_of_their_letter() -> None:
    """And nothing of the next window; the answer is whole wherever its tokens are."""
    context = unicodedata.normalize("NFD", " ".join(["서울은"] * 20))
    tokenizer = _built(_pieces(), normalizers.NFC())
    start = context.index(unicodedata.normalize("NFD", "은"), 60)
    batch: dict[str, list[object]] = {
        "question": ["x"],
        "context": [context],
        "answers": [[context[start - 5 : start + 3]]],
        "starts": [[start - 5]],
    }
    for length in range(8, 14):
        windows = encode_windows(batch, tokenizer, length, 2)
        ends = _rows(windows, "char_ends")
        assert len(ends) > 1
        syllables = {0} | {
            place
            for place in range(1, len(context) + 1)
            if place == len(context) or not joins(context[place])
        }
        assert {end for window in ends for end in window} <= syllables
        for window, first in enumerate(_numbers(windows, "first_token")):
            last = _numbers(windows, "last_token")[window]
            if first:
                begin = _rows(windows, "char_starts")[window][first]
                assert context[begin : ends[window][last]] == context[start - 5 : start + 3]
