"""Tiny models with tokenizers or image processors, the same in every run."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ASSETS = Path(__file__).parent.parent / "lit_hf" / "assets"


def write_bert(folder: Path) -> None:
    """Write a BERT of two layers and width 16 and a tokenizer of words of the tweets."""
    from transformers import BertConfig, BertModel

    tweets = (ASSETS / "tweets" / "train.csv").read_text(encoding="utf-8")
    tokenizer = word_pieces(tweets, num_pieces=600, max_length=128)
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=128,
        )
        BertModel(config).save_pretrained(folder)


def word_pieces(text: str, num_pieces: int, max_length: int) -> "PreTrainedTokenizerFast":
    """BERT's kind of tokenizer, of the letters and the commonest words of a text."""
    from tokenizers import (
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    text = text.lower()
    letters = sorted({letter for letter in text if not letter.isspace()})
    counts = Counter(re.findall(r"\w+", text)).most_common()
    words = sorted(counts, key=lambda pair: (-pair[1], pair[0]))  # the same in every run
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters)]
    pieces += [word for word, _ in words if word not in letters][: num_pieces - len(pieces)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # has no types
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def write_t5(folder: Path) -> None:
    """Write a T5 of two layers and a tokenizer trained on the bundled paragraphs."""
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = unigrams(num_pieces=600)
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start: dict[str, Any] = {"decoder_start_token_id": 0}  # which the config's type lacks
        config = T5Config(
            vocab_size=len(tokenizer),
            d_model=64,
            d_ff=128,
            d_kv=16,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            **start,
        )
        T5ForConditionalGeneration(config).save_pretrained(folder)


def write_bart(folder: Path, num_tokens: int) -> None:
    """Write a BART of a layer, without tokenizer: it computes in float16 and in float64 throughout.

    T5 overflows in float16, and has parts that are always in single precision.
    """
    from transformers import BartConfig, BartForConditionalGeneration

    tokens: dict[str, Any] = {"decoder_start_token_id": 0, "forced_eos_token_id": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BartConfig(
            vocab_size=num_tokens,
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            max_position_embeddings=128,
            bos_token_id=1,
            pad_token_id=0,
            eos_token_id=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            dropout=0.0,
            **tokens,
        )
        BartForConditionalGeneration(config).save_pretrained(folder)


def unigrams(num_pieces: int) -> "PreTrainedTokenizerFast":
    """T5's kind of tokenizer, trained on the bundled paragraphs."""
    from tokenizers import (
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    texts = [text for row in paragraph_rows() for text in (row["context"], row["question"])]
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=num_pieces, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    pieces = sorted(json.loads(tokenizer.to_str())["model"]["vocab"][3:])  # in every run the same
    marks = [(mark, 0.0) for mark in special]
    tokenizer.model = models.Unigram([*marks, *map(tuple, pieces)], unk_id=2)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # has no types
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
    )


def write_vit(folder: Path, size: int = 8, patch: int = 4, has_pooler: bool = False) -> None:
    """Write a ViT of two layers, for images of 8 x 8 pixels, and its image processor."""
    from transformers import ViTConfig, ViTModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = ViTConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=size,
            patch_size=patch,
        )
        ViTModel(config, add_pooling_layer=has_pooler).save_pretrained(folder)
    write_image_processor(folder, size)


def write_image_processor(folder: Path, size: int) -> None:
    """Write ViT's image processor, for images of so many pixels in height and width."""
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": size, "width": size},
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.3, 0.4],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


def paragraph_rows() -> list[dict[str, Any]]:
    """The bundled questions, those of train.json first."""
    return [
        {**question, "context": paragraph["context"]}
        for name in ("train.json", "dev.json")
        for article in json.loads((ASSETS / "paragraphs" / name).read_text(encoding="utf-8"))[
            "data"
        ]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
