"""Tiny models of many families with tokenizers or image processors of their own classes."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tests.tiny_models import ASSETS, unigrams, word_pieces

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
T5 = ["<pad>", "</s>", "<unk>"]
Maker = Callable[[], tuple[Any, Any]]


@cache
def _text() -> str:
    tweets = (ASSETS / "tweets" / "train.csv").read_text(encoding="utf-8")
    return f"{tweets} 서울에 불이 났다 🔥 "


@cache
def words() -> dict[str, int]:
    """The vocabulary of a tokenizer of BERT's kind."""
    said = word_pieces(_text(), num_pieces=800, max_length=64).backend_tokenizer.to_str()
    return dict(json.loads(said)["model"]["vocab"])


@cache
def byte_pairs(*special: str) -> dict[str, Any]:
    """Vocabulary and merges of a tokenizer of GPT-2's kind."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(special),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator([_text()], trainer)
    said = json.loads(tokenizer.to_str())["model"]
    return {"vocab": said["vocab"], "merges": [tuple(pair) for pair in said["merges"]]}


@cache
def _unigrams() -> list[tuple[str, float]]:
    said = json.loads(unigrams(num_pieces=600).backend_tokenizer.to_str())
    return [tuple(piece) for piece in said["model"]["vocab"][3:] if piece[0] not in "</>[]_"]


def sentence_pieces(*special: str) -> list[tuple[str, float]]:
    """The pieces of the tiny T5 with the signs of markup, behind the special tokens of a kind."""
    signs = [(sign, -9.0) for sign in "</>[]_"]
    extra = [f"<extra_id_{n}>" for n in reversed(range(100))] if list(special) == T5 else []
    return [*((name, 0.0) for name in special), *_unigrams(), *signs, *((n, 0.0) for n in extra)]


def _encoder(kind: str, tokenizer: Any, **own: Any) -> tuple[Any, Any]:  # noqa: ANN401 - of a family
    """A tokenizer, and a config whose weights are large enough to tell texts apart."""
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    }
    marks = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    make = getattr(transformers, f"{kind}Config")
    return tokenizer, make(**{**marks, "initializer_range": 0.4, **(own or sizes)})


def _bert(kind: str, **own: Any) -> tuple[Any, Any]:  # noqa: ANN401 - values of its config
    return _encoder(kind, transformers.BertTokenizer(vocab=words(), model_max_length=64), **own)


def _roberta() -> tuple[Any, Any]:
    parts = byte_pairs(*ROBERTA)
    return _encoder("Roberta", transformers.RobertaTokenizer(**parts, model_max_length=62))


def _pieces(kind: str, limit: int, *special: str, **own: Any) -> tuple[Any, Any]:  # noqa: ANN401 - as above
    make = getattr(transformers, f"{kind}Tokenizer")
    tokenizer = make(vocab=sentence_pieces(*special), model_max_length=limit)
    return _encoder(kind, tokenizer, **own)


def _modern_bert() -> tuple[Any, Any]:
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), BERT, strict=True))
    tokenizer: Any = transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # has no types
        tokenizer_object=word_pieces(_text(), 800, 64).backend_tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{name}_token": token for name, token in names.items()},
    )
    return _encoder("ModernBert", tokenizer)


def _gpt2() -> tuple[Any, Any]:
    tokenizer = transformers.GPT2Tokenizer(**byte_pairs("<|endoftext|>"), padding_side="left")
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
    ends = dict.fromkeys(("bos_token_id", "eos_token_id"), tokenizer.eos_token_id)
    return _encoder("GPT2", tokenizer, **sizes, **ends)


ENCODERS: dict[str, Maker] = {
    "Bert": lambda: _bert("Bert"),
    "Electra": lambda: _bert("Electra"),
    "DistilBert": lambda: _bert(
        "DistilBert", dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=64
    ),
    "Roberta": _roberta,
    "XLMRoberta": lambda: _pieces("XLMRoberta", 62, *ROBERTA),
    "DebertaV2": lambda: _pieces("DebertaV2", 10**30, *BERT),
    "Albert": lambda: _pieces("Albert", 10**30, "<pad>", "<unk>", *BERT[2:]),
    "ModernBert": _modern_bert,
    "GPT2": _gpt2,
}


def _t5(kind: str) -> tuple[Any, Any]:
    tokenizer = transformers.T5Tokenizer(vocab=sentence_pieces(*T5))
    sizes = {"d_model": 32, "d_ff": 64, "d_kv": 16, "num_layers": 2, "num_heads": 2}
    start = {"decoder_start_token_id": 0, "initializer_factor": 3.0}
    return tokenizer, getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), **sizes, **start
    )


def _bart() -> tuple[Any, Any]:
    tokenizer: Any = transformers.BartTokenizer(**byte_pairs(*ROBERTA))
    parts = ("encoder", "decoder")
    sizes: dict[str, Any] = {f"{part}_layers": 2 for part in parts}
    sizes |= {f"{part}_attention_heads": 2 for part in parts}
    sizes |= {f"{part}_ffn_dim": 32 for part in parts}
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), d_model=32, max_position_embeddings=128, init_std=0.4, **sizes
    )
    return tokenizer, config


WRITERS: dict[str, Maker] = {"T5": lambda: _t5("T5"), "MT5": lambda: _t5("MT5"), "Bart": _bart}
_SQUARE = {"height": 16, "width": 16}
_LARGER = {"height": 20, "width": 20}
_PATCHES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 16,
    "patch_size": 4,
}
_TILES = {"image_size": 16, "patch_size": 2}
# Of each an image processor of its own: a square, the middle of one, a share of the shorter edge.
IMAGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ViT": (_PATCHES, {"image_processor_type": "ViTImageProcessor", "size": _SQUARE}),
    "Beit": (
        {**_PATCHES, "out_indices": [1]},
        {
            "image_processor_type": "BeitImageProcessor",
            "size": _LARGER,
            "crop_size": _SQUARE,
            "do_center_crop": True,
        },
    ),
    "ConvNext": (
        {"hidden_sizes": [4, 8, 8, 8], "depths": [1, 1, 1, 1], "image_size": 32},
        {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 32}},
    ),
    "Swin": (
        {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4, **_TILES},
        {"image_processor_type": "ViTImageProcessor", "size": _SQUARE, "resample": 3},
    ),
}


def write_texts(kind: str, folder: Path) -> str:
    """Write tokenizer and config of a family of models of texts; its weights are drawn."""
    tokenizer, config = (ENCODERS | WRITERS)[kind]()
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)
    return str(folder)


def write_images(kind: str, folder: Path) -> str:
    """Write image processor and config of a family of models of images; its weights are drawn."""
    sizes, processor = IMAGES[kind]
    getattr(transformers, f"{kind}Config")(**sizes).save_pretrained(folder)
    text = json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3, **processor})
    (folder / "preprocessor_config.json").write_text(text)
    return str(folder)
