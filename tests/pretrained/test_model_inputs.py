import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import RobertaProcessing, TemplateProcessing
from transformers import (
    AlbertConfig,
    AlbertModel,
    AlbertTokenizer,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BigBirdConfig,
    DebertaV2Config,
    FunnelConfig,
    GPT2Config,
    ModernBertConfig,
    PreTrainedConfig,
    RemBertConfig,
    RobertaConfig,
    RoFormerConfig,
    SplinterConfig,
    XLNetConfig,
)

from lit_hf import (
    ExtractiveQADataModule,
    InputError,
    MeanHead,
    Predictor,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.export import export_checkpoint
from lit_hf.pretrained.model_inputs import ask_for_segments, separates_pairs
from lit_hf.pretrained.models import from_config
from lit_hf.pretrained.processors import load_tokenizer

Rows = list[dict[str, Any]]
PAIRS: Rows = [
    {"a": "fire in the old", "b": "town people leave", "label": 1},
    {"a": "fire in", "b": "the old town people leave", "label": 0},
] * 2
COLUMNS: dict[str, Any] = {"text_column": "a", "pair_column": "b", "max_length": 32}


@pytest.fixture
def unnamed(tiny_model: str, tmp_path: Path) -> str:
    """A BERT whose tokenizer's files do not name its inputs."""
    return _renamed(tiny_model, tmp_path / "unnamed", None)


@pytest.fixture
def albert(tmp_path: Path) -> str:
    """An ALBERT; the class of its tokenizer gives segments on request only."""
    words = sorted({word for row in PAIRS for side in "ab" for word in row[side].split()})
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [(mark, 0.0) for mark in special] + [(f"▁{word}", -1.0) for word in words]
    AlbertTokenizer(vocab=[*vocabulary, ("▁a", -2.0)]).save_pretrained(tmp_path / "albert")
    config = AlbertConfig(
        vocab_size=len(vocabulary) + 1,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.4,
    )
    torch.manual_seed(0)
    AlbertModel(config).save_pretrained(tmp_path / "albert")
    return str(tmp_path / "albert")


def _renamed(model: str, folder: Path, names: list[str] | None) -> str:
    """A copy of a folder whose tokenizer's files name these inputs."""
    shutil.copytree(model, folder)
    path = folder / "tokenizer_config.json"
    said = {**json.loads(path.read_text(encoding="utf-8")), "model_input_names": names}
    if names is None:
        del said["model_input_names"]
    path.write_text(json.dumps(said), encoding="utf-8")
    return str(folder)


def _is_asked(folder: str, config: PreTrainedConfig) -> bool:
    tokenizer = load_tokenizer(folder)
    ask_for_segments(tokenizer, config)
    return "token_type_ids" in tokenizer("a fire", "a song")


@pytest.mark.parametrize(
    "kind",
    [
        *(AlbertConfig, BertConfig, FunnelConfig, RemBertConfig, RoFormerConfig),
        *(SplinterConfig, XLNetConfig),
    ],
)
def test_segments__are_asked_for_where_the_model_knows_them(
    kind: type[PreTrainedConfig], unnamed: str
) -> None:
    assert _is_asked(unnamed, kind())


@pytest.mark.parametrize(
    "config",
    [
        *(BertConfig(type_vocab_size=1), RobertaConfig(type_vocab_size=1), DebertaV2Config()),
        *(GPT2Config(), ModernBertConfig(), BigBirdConfig()),
    ],
    ids=lambda config: config.model_type,
)
def test_segments__are_not_given_to_a_model_without(config: PreTrainedConfig, unnamed: str) -> None:
    assert not _is_asked(unnamed, config)


def test_segments__of_a_tokenizer_that_knows_none_are_not_asked_for(unnamed: str) -> None:
    """Such as of XLM-RoBERTa's, which some BERTs have."""
    tokenizer = load_tokenizer(unnamed)
    tokenizer.backend_tokenizer.post_processor = RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))
    ask_for_segments(tokenizer, BertConfig())
    assert "token_type_ids" not in tokenizer("a fire", "a song")


def test_trained_model__was_trained_on_the_inputs_that_its_tokenizer_names(
    tiny_model: str, unnamed: str, tmp_path: Path
) -> None:
    named = _renamed(tiny_model, tmp_path / "named", ["input_ids", "attention_mask"])
    trained = BertConfig(architectures=["BertForSequenceClassification"])
    assert not _is_asked(named, trained)
    assert _is_asked(named, BertConfig(architectures=["BertForMaskedLM"]))
    assert _is_asked(unnamed, trained)  # as any tokenizer of transformers 4 gave them


@pytest.mark.parametrize("name", ["unnamed", "albert"])
def test_pairs_and_questions__have_two_segments(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    data = TextClassificationDataModule(folder, label_names=["0", "1"], **COLUMNS)
    batch: Any = next(iter(data.with_rows(val=PAIRS[:1]).val_dataloader()))
    assert batch["token_type_ids"].tolist() == [[0] * 6 + [1] * 4]
    rows: Rows = [{"question": "fire in", "context": "the old town", "answers": ["town"]}]
    questions = ExtractiveQADataModule(folder, max_length=32, doc_stride=8).with_rows(val=rows)
    batch = next(iter(questions.val_dataloader()))
    assert batch["token_type_ids"].tolist() == [[0] * 4 + [1] * 4]


@pytest.mark.parametrize("head", [None, MeanHead])
def test_training__keeps_the_segments_for_whoever_answers(
    head: Any,  # noqa: ANN401 - the class of a head
    albert: str,
    tmp_path: Path,
    make_answers: Callable[..., tuple[Path, Rows]],
) -> None:
    checkpoint, wanted = make_answers(albert, head)
    export = export_checkpoint(checkpoint, tmp_path / "model")
    items = [(row["a"], row["b"]) for row in PAIRS]
    for path in (checkpoint, export):
        answers = Predictor.from_pretrained(path)(items)
        assert _probabilities(answers) == pytest.approx(_probabilities(wanted), abs=1e-6)
    plain = AutoTokenizer.from_pretrained(export)("fire in", "the old")
    assert plain["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]
    # Without segments, as lit_hf once trained.
    before = Predictor.from_pretrained(_renamed(str(export), tmp_path / "before", None))
    assert _probabilities(before(items)) != pytest.approx(_probabilities(wanted), abs=1e-4)


def test_plain_tokenizer__is_asked_as_in_training(
    albert: str, make_answers: Callable[..., tuple[Path, Rows]]
) -> None:
    checkpoint, wanted = make_answers(albert, None)
    module = TextClassifier.load_from_checkpoint(checkpoint, weights_only=True)
    plain = AutoTokenizer.from_pretrained(albert)
    answers = Predictor(module, plain)([(row["a"], row["b"]) for row in PAIRS])
    assert _probabilities(answers) == pytest.approx(_probabilities(wanted), abs=1e-6)
    assert "token_type_ids" not in plain.model_input_names  # that of the user stays as it is


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", [GPT2Config, XLNetConfig])
def test_answer__is_that_of_the_text_alone_in_any_batch(
    kind: Any,  # noqa: ANN401 - the class of a config
    side: str,
    tiny_model: str,
    tmp_path: Path,
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model, padding_side=side)
    tokenizer.save_pretrained(tmp_path)
    sizes: dict[str, Any] = {"n_layer": 2, "n_head": 2, "initializer_range": 0.5}
    sizes |= {"n_embd": 16} if kind is GPT2Config else {"d_model": 16, "d_inner": 32}
    config = kind(vocab_size=len(tokenizer), pad_token_id=0, **sizes)
    torch.manual_seed(0)
    from_config(AutoModelForSequenceClassification, config).save_pretrained(tmp_path)
    texts = ["a fire", "my new song is called fire and it is fun, people leave the old town"]
    loaded = Predictor.from_pretrained(tmp_path)
    given = Predictor(loaded.module, tokenizer)
    for predictor in (loaded, given):
        alone = [predictor(text)[0]["probability"] for text in texts]
        assert _probabilities(predictor(texts)) == pytest.approx(alone, abs=1e-5)
    assert tokenizer.padding_side == side  # that of the user stays as it is
    rows: Rows = [{"text": text, "label": 0} for text in texts]
    data = TextClassificationDataModule(str(tmp_path), label_names=["0", "1"]).with_rows(val=rows)
    batch: Any = next(iter(data.val_dataloader()))
    mask = batch["attention_mask"]
    assert mask[0, 0 if kind is GPT2Config else -1]
    assert mask.sum() < mask.numel()
    data.save_processor(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").padding_side == (
        "right" if kind is GPT2Config else "left"
    )


@pytest.mark.parametrize("template", [None, "{c}: {a}"])
def test_pairs__with_nothing_between_are_refused(
    template: str | None, tiny_t5: str, tiny_model: str
) -> None:
    rows: Rows = [{**row, "c": "x"} for row in PAIRS]
    joined = f"{template or '{a}'} | {{b}}"
    settings: dict[str, Any] = {"label_names": ["0", "1"], "text_template": template}
    data = TextClassificationDataModule(tiny_t5, **settings, **COLUMNS).with_rows(val=rows)
    with pytest.raises(
        InputError, match=f"nothing between.*text_template: {re.escape(repr(joined))}"
    ):
        data.setup("validate")
    one_text: dict[str, Any] = {
        "label_names": ["0", "1"],
        "text_template": joined,
        "max_length": 64,
    }
    data = TextClassificationDataModule(tiny_t5, **one_text).with_rows(val=rows)
    data.setup("validate")
    first, second = data.splits["val"]["input_ids"][:2]
    assert first != second
    module = TextClassifier(tiny_model, ["0", "1"])
    predictor = Predictor(module, load_tokenizer(tiny_t5))
    with pytest.raises(InputError, match=r"nothing between.*`text_template: '\{first\} \| "):
        predictor([("a", "b")])
    assert len(predictor(["a", "b"])) == 2


def test_pairs__with_a_separator_or_segments_are_taken(unnamed: str) -> None:
    tokenizer = load_tokenizer(unnamed)
    assert separates_pairs(tokenizer)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A", pair="$A $B:1", special_tokens=[]
    )
    assert not separates_pairs(tokenizer)
    ask_for_segments(tokenizer, BertConfig())
    assert separates_pairs(tokenizer)


@pytest.fixture
def make_answers(tmp_path: Path) -> Callable[..., tuple[Path, Rows]]:
    """Trains on the pairs, and gives a checkpoint and the Trainer's own answers."""
    from tests.trainers import quiet_trainer

    def make(folder: str, head: Any) -> tuple[Path, Rows]:  # noqa: ANN401 - the class of a head
        data = TextClassificationDataModule(
            folder, label_names=["0", "1"], val_fraction=0, **COLUMNS
        ).with_rows(train=PAIRS, predict=PAIRS)
        module = TextClassifier(folder, ["0", "1"], head=head)
        trainer = quiet_trainer(enable_checkpointing=False, default_root_dir=tmp_path, max_epochs=1)
        trainer.fit(module, data)
        trainer.save_checkpoint(tmp_path / "model.ckpt")
        batches = trainer.predict(module, data)
        return tmp_path / "model.ckpt", [row for batch in batches or [] for row in batch]

    return make


def _probabilities(answers: Any) -> list[float]:  # noqa: ANN401 - answers of a Predictor
    return [row["probability"] for row in answers]
