"""Tokenizers: loading, padding and segments, and calls from many threads."""

import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
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
    FunnelConfig,
    GPT2Config,
    ModernBertConfig,
    PreTrainedConfig,
    XLNetConfig,
)

from lit_hf import (
    ExtractiveQA,
    ExtractiveQADataModule,
    InputError,
    MeanHead,
    Predictor,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.model_folder import export_checkpoint
from lit_hf.pretrained.models import from_config
from lit_hf.pretrained.tokenizers import (
    ask_for_segments,
    check_vocabulary,
    cutting_ends,
    load_tokenizer,
    separates_pairs,
    tokenize,
)
from tests.trainers import quiet_trainer

Rows = list[dict[str, Any]]
PAIRS: Rows = [
    {"a": "fire in the old", "b": "town people leave", "label": 1},
    {"a": "fire in", "b": "the old town people leave", "label": 0},
] * 2
COLUMNS: dict[str, Any] = {"text_column": "a", "pair_column": "b", "max_length": 32}
PAUSE = 0.3  # how long a thread waits for another that the lock may hold back


def _with_settings(model: str, folder: Path, **settings: object) -> str:
    """A copy of a folder whose tokenizer's files hold other settings; None takes one away."""
    shutil.copytree(model, folder)
    path = folder / "tokenizer_config.json"
    held = {**json.loads(path.read_text(encoding="utf-8")), **settings}
    path.write_text(json.dumps({k: v for k, v in held.items() if v is not None}))
    return str(folder)


@pytest.fixture
def unnamed(tiny_model: str, tmp_path: Path) -> str:
    """A BERT whose tokenizer's files do not name its inputs."""
    return _with_settings(tiny_model, tmp_path / "unnamed", model_input_names=None)


@pytest.fixture
def albert(tmp_path: Path) -> str:
    """An ALBERT; the class of its tokenizer gives segments on request only."""
    words = sorted({word for row in PAIRS for side in "ab" for word in row[side].split()})
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [(mark, 0.0) for mark in special] + [(f"▁{word}", -1.0) for word in words]
    AlbertTokenizer(vocab=[*vocabulary, ("▁a", -2.0)]).save_pretrained(tmp_path / "albert")
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"embedding_size": 8, "intermediate_size": 32, "max_position_embeddings": 64}
    torch.manual_seed(0)
    config = AlbertConfig(vocab_size=len(vocabulary) + 1, initializer_range=0.4, **sizes)
    AlbertModel(config).save_pretrained(tmp_path / "albert")
    return str(tmp_path / "albert")


def test_load__without_padding_takes_the_end(tiny_model: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither padding nor end token"):
        load_tokenizer(_with_settings(tiny_model, tmp_path / "neither", pad_token=None))
    ends = _with_settings(tiny_model, tmp_path / "end", pad_token=None, eos_token="[SEP]")
    assert load_tokenizer(ends).pad_token == "[SEP]"


def test_load__what_does_not_belong_to_the_model_is_refused(
    tiny_model: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    with pytest.raises(InputError, match="knows 600 tokens, the model 50"):
        check_vocabulary(load_tokenizer(tiny_model), BertConfig(vocab_size=50))
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(InputError, match="there is no tokenizer with it"):
        load_tokenizer(str(folder))


def _gives_segments(folder: str, config: PreTrainedConfig) -> bool:
    tokenizer = load_tokenizer(folder)
    ask_for_segments(tokenizer, config)
    return "token_type_ids" in tokenizer("a fire", "a song")


def test_segments__are_asked_for_where_the_model_knows_them(unnamed: str) -> None:
    knows: list[PreTrainedConfig] = [AlbertConfig(), BertConfig(), FunnelConfig(), XLNetConfig()]
    knows_not: list[PreTrainedConfig] = [GPT2Config(), ModernBertConfig(), BigBirdConfig()]
    for config in [*knows, *knows_not]:
        assert _gives_segments(unnamed, config) is (config in knows)
    tokenizer = load_tokenizer(unnamed)  # as of XLM-RoBERTa, which some BERTs have
    tokenizer.backend_tokenizer.post_processor = RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))
    ask_for_segments(tokenizer, BertConfig())
    assert "token_type_ids" not in tokenizer("a fire", "a song")


def test_segments__of_a_trained_model_are_those_of_its_training(
    tiny_model: str, unnamed: str, tmp_path: Path
) -> None:
    names = ["input_ids", "attention_mask"]
    named = _with_settings(tiny_model, tmp_path / "named", model_input_names=names)
    trained = BertConfig(architectures=["BertForSequenceClassification"])
    assert not _gives_segments(named, trained)
    assert _gives_segments(named, BertConfig(architectures=["BertForMaskedLM"]))
    assert _gives_segments(unnamed, trained)  # as any tokenizer of transformers 4 gave them


@pytest.mark.parametrize("name", ["unnamed", "albert"])
def test_questions__have_two_segments(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    rows: Rows = [{"question": "fire in", "context": "the old town", "answers": ["town"]}]
    questions = ExtractiveQADataModule(folder, max_length=32, doc_stride=8).with_rows(val=rows)
    batch: Any = next(iter(questions.val_dataloader()))
    assert batch["token_type_ids"].tolist() == [[0] * 4 + [1] * 4]


@pytest.mark.parametrize("head", [None, MeanHead])
def test_segments__of_the_training_are_there_for_whoever_answers(
    head: type[MeanHead] | None, albert: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"label_names": ["0", "1"], "val_fraction": 0, **COLUMNS}
    data = TextClassificationDataModule(albert, **settings).with_rows(train=PAIRS, predict=PAIRS)
    module = TextClassifier(albert, ["0", "1"], head=head)
    trainer = quiet_trainer(enable_checkpointing=False, default_root_dir=tmp_path, max_epochs=1)
    trainer.fit(module, data)
    checkpoint = tmp_path / "model.ckpt"
    trainer.save_checkpoint(checkpoint)
    expected = _probabilities(
        [row for batch in trainer.predict(module, data) or [] for row in batch]
    )
    export = export_checkpoint(checkpoint, tmp_path / "model")
    plain = AutoTokenizer.from_pretrained(albert)
    given = Predictor(TextClassifier.load_from_checkpoint(checkpoint, weights_only=True), plain)
    for predictor in (*map(Predictor.from_pretrained, (checkpoint, export)), given):
        found = _probabilities(predictor([(row["a"], row["b"]) for row in PAIRS]))
        assert found == pytest.approx(expected, abs=1e-6)
    assert "token_type_ids" not in plain.model_input_names  # that of the user stays as it is
    written = AutoTokenizer.from_pretrained(export)("fire in", "the old")
    assert written["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]


def _probabilities(answers: Any) -> list[float]:  # noqa: ANN401 - answers of a Predictor
    return [row["probability"] for row in answers]


@pytest.mark.parametrize("side", ["left", "right"])
def test_answer__of_xlnet_is_that_of_the_text_alone_in_any_batch(
    side: str, tiny_model: str, tmp_path: Path
) -> None:
    """It reads the last place; decoders are in the tests of padding."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model, padding_side=side)
    tokenizer.save_pretrained(tmp_path)
    sizes: dict[str, Any] = {"n_layer": 2, "n_head": 2, "d_model": 16, "d_inner": 32}
    config = XLNetConfig(vocab_size=600, pad_token_id=0, initializer_range=0.5, **sizes)
    torch.manual_seed(0)
    from_config(AutoModelForSequenceClassification, config).save_pretrained(tmp_path)
    texts = ["a fire", "my new song is called fire and it is fun, people leave the old town"]
    loaded = Predictor.from_pretrained(tmp_path)
    for predictor in (loaded, Predictor(loaded.module, tokenizer)):
        alone = [predictor(text)[0]["probability"] for text in texts]
        assert _probabilities(predictor(texts)) == pytest.approx(alone, abs=1e-5)
    assert tokenizer.padding_side == side  # that of the user stays as it is


def test_pairs__with_nothing_between_are_refused(
    unnamed: str, tiny_t5: str, tiny_model: str
) -> None:
    data = TextClassificationDataModule(tiny_t5, label_names=["0", "1"], **COLUMNS)
    joined = re.escape(repr("{a} | {b}"))
    with pytest.raises(InputError, match=f"nothing between.*text_template: {joined}"):
        data.with_rows(val=PAIRS).setup("validate")
    predictor = Predictor(TextClassifier(tiny_model, ["0", "1"]), load_tokenizer(tiny_t5))
    with pytest.raises(InputError, match="nothing between"):
        predictor([("a", "b")])
    assert len(predictor(["a", "b"])) == 2
    tokenizer = load_tokenizer(unnamed)
    assert separates_pairs(tokenizer)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A", pair="$A $B:1", special_tokens=[]
    )
    assert not separates_pairs(tokenizer)
    ask_for_segments(tokenizer, BertConfig())
    assert separates_pairs(tokenizer)


# Threads.


class Slow:
    """A tokenizer that sets its state, lets another thread in, and then reads its state."""

    def __init__(self) -> None:
        self.truncation_side = "left"
        self.state: object = None
        self.is_set, self.is_unset = threading.Event(), threading.Event()

    def __call__(self, text: str, truncation: bool = False) -> Any:  # noqa: ANN401 - as a tokenizer
        self.state = truncation
        if truncation:
            self.is_set.set()
            self.is_unset.wait(PAUSE)
        else:
            self.is_unset.set()
        return SimpleNamespace(state=self.state, side=self.truncation_side)


def test_call__has_the_state_that_it_has_set() -> None:
    slow: Any = Slow()

    def cut() -> Any:  # noqa: ANN401 - as a tokenizer
        with cutting_ends(slow):
            return tokenize(slow, "a", truncation=True)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cut)
        assert slow.is_set.wait(9)
        second = threads.submit(tokenize, slow, "b")
        assert (first.result().state, second.result().state) == (True, False)
        assert (first.result().side, second.result().side) == ("right", "left")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked on Unix alone")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork__in_the_midst_of_a_call_leaves_the_child_free() -> None:
    slow: Any = Slow()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(tokenize, slow, "a", truncation=True)
        assert slow.is_set.wait(9)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(9)  # ends one that waits for the lock
            tokenize(slow, "b")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        first.result()


@pytest.fixture
def ask(tiny_model: str) -> Callable[[str], tuple[Predictor, list[Any]]]:
    """A Predictor of a task, and sixteen items of several lengths for it."""
    settings: dict[str, Any] = {"pretrained": False, "config_overrides": {"initializer_range": 0.4}}
    long = "ada sold the old mill by the river in 1921 "
    questions = [("who sold the mill", f"{n} " + long * n) for n in range(1, 17)]
    rows = [{"question": first, "context": second} for first, second in questions]

    def make(task: str) -> tuple[Predictor, list[Any]]:
        torch.manual_seed(0)
        tokenizer = load_tokenizer(tiny_model)
        if task == "extractive":
            cut = {"max_length": 48, "doc_stride": 8}
            return Predictor(ExtractiveQA(tiny_model, **settings), tokenizer, cut), questions
        template = {"text_template": "{question} [SEP] {context}"}
        classifier = TextClassifier(tiny_model, ["a", "b"], **settings)
        return Predictor(classifier, tokenizer, template), rows

    return make


@pytest.mark.parametrize("task", ["text", "extractive"])
def test_answers__of_sixteen_threads_are_those_of_one(
    task: str, ask: Callable[[str], tuple[Predictor, list[Any]]]
) -> None:
    predictor, items = ask(task)
    expected = [predictor(item) for item in items]
    barrier = threading.Barrier(16)

    def answer(item: Any) -> Any:  # noqa: ANN401 - of any task
        barrier.wait(9)
        return predictor(item)

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(answer, items))
    assert len({str(one) for one in expected}) > 3
    for (one,), (other,) in zip(found, expected, strict=True):
        assert one["prediction"] == other["prediction"]
        numbers = [name for name, value in other.items() if isinstance(value, float)]
        assert [one[n] for n in numbers] == pytest.approx([other[n] for n in numbers], abs=1e-5)
