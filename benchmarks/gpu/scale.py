"""How large everything is: works, models and limits, in earnest and in a tiny form for a CPU."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transformers import BertConfig, PreTrainedConfig, T5Config, ViTConfig

from benchmarks.speed.work import WORKS, Work
from tests.tiny_models import ASSETS, paragraph_rows, unigrams, word_pieces, write_image_processor

MOST_UNIGRAMS = 4000  # more than the bundled texts have


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Args:
        works: by name; their rows are the most that a part takes.
        configs: of the models, by work.
        num_rounds: most rounds of a part that count.
        num_warm: training steps of the round before, which does not count; 0 leaves it out.
        least: seconds that a part needs; with fewer left it is not begun.
        num_workers: processes that load batches.
        variables: of the environment of all that is measured.
    """

    works: dict[str, Work]
    configs: dict[str, PreTrainedConfig]
    num_rounds: int
    num_warm: int
    least: float
    num_workers: int
    variables: Mapping[str, str] = field(default_factory=dict)


_DECODER: dict[str, Any] = {"decoder_start_token_id": 0}  # which the config's type lacks
_T5 = Work(
    name="t5",
    recipe="generative_qa/squad_t5.yaml",
    labels=("labels",),
    train="train.jsonl",
    val="val.jsonl",
    batch_size=32,
    eval_batch_size=64,
    max_length=512,
    doc_stride=128,
    epochs=1,
    num_train=3200,
    num_val=512,
    lr=3e-4,
    max_answer=32,
)
_IMAGES = replace(WORKS["images"], num_labels=5)


def _new(work: Work, **changes: Any) -> Work:  # noqa: ANN401 - fields of a Work
    """A work with random weights, for one epoch."""
    return replace(work, is_pretrained=False, epochs=1, **changes)


LARGE = Scale(
    works={
        "tweets": _new(
            WORKS["tweets"], batch_size=64, eval_batch_size=256, num_train=12800, num_val=4096
        ),
        "squad": _new(
            WORKS["squad"], batch_size=32, eval_batch_size=128, num_train=3200, num_val=1024
        ),
        "t5": _new(_T5),
        "images": _new(
            _IMAGES, batch_size=64, eval_batch_size=256, num_train=2048, num_val=512, lr=1e-4
        ),
    },
    configs={
        "tweets": BertConfig(  # MiniLM-L6's form
            hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
        ),
        "squad": BertConfig(),  # BERT-base's
        "t5": T5Config(**_DECODER),  # T5-small's
        "images": ViTConfig(),  # ViT-B/16's
    },
    num_rounds=5,
    num_warm=8,
    least=30,
    num_workers=4,
)

_FEW: dict[str, Any] = {"batch_size": 4, "eval_batch_size": 8, "num_train": 24, "num_val": 16}
_SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
_BERT = BertConfig(vocab_size=1200, max_position_embeddings=128, **_SMALL)
_WIDTHS: dict[str, Any] = {"d_model": 16, "d_ff": 32, "d_kv": 8, "num_layers": 2, "num_heads": 2}
_SHORT = ("--model.generation.max_new_tokens", "4")
TINY = Scale(
    works={
        "tweets": _new(WORKS["tweets"], **_FEW),
        "squad": _new(WORKS["squad"], **_FEW, max_length=128, doc_stride=32),
        "t5": _new(_T5, **_FEW, max_answer=4, words=_SHORT),
        "images": _new(_IMAGES, **_FEW),
    },
    configs={
        "tweets": _BERT,
        "squad": _BERT,
        "t5": T5Config(vocab_size=1200, **_WIDTHS, **_DECODER),
        "images": ViTConfig(image_size=8, patch_size=4, **_SMALL),
    },
    num_rounds=1,
    num_warm=0,
    least=5,
    num_workers=0,
    variables={"OMP_NUM_THREADS": "1"},
)


def write_model(config: PreTrainedConfig, folder: Path) -> None:
    """Write a config, and what prepares rows for its model; there are no weights."""
    config.save_pretrained(folder)
    if isinstance(config, ViTConfig):
        write_image_processor(folder, int(str(config.image_size)))
    elif isinstance(config, T5Config):
        unigrams(min(config.vocab_size, MOST_UNIGRAMS)).save_pretrained(folder)
    elif isinstance(config, BertConfig):
        texts = [(ASSETS / "tweets" / "train.csv").read_text(encoding="utf-8")]
        texts += [text for row in paragraph_rows() for text in (row["context"], row["question"])]
        length = config.max_position_embeddings
        word_pieces(" ".join(texts), config.vocab_size, length).save_pretrained(folder)
