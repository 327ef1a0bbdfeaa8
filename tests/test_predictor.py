import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from lit_hf import (
    ExportPretrained,
    ExtractiveQA,
    ExtractiveQADataModule,
    GenerativeQA,
    HFModule,
    ImageClassifier,
    InputError,
    MaxHead,
    MeanHead,
    PoolingHead,
    Predictor,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.model_folder import export_checkpoint
from lit_hf.pretrained.image_processors import load_image_processor
from lit_hf.pretrained.tokenizer_files import read_settings, write_settings
from lit_hf.pretrained.tokenizers import load_tokenizer
from tests.model_families import write_texts
from tests.trainers import quiet_trainer

Rows = list[dict[str, Any]]
Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


def _same(answers: Any, wanted: Any) -> None:  # noqa: ANN401 - answers of any shape
    assert len(answers) == len(wanted)
    for answer, row in zip(answers, wanted, strict=True):
        assert answer.keys() == row.keys() - {"id", "index"}
        for name, value in answer.items():
            if isinstance(value, float | dict):
                assert value == pytest.approx(row[name], abs=1e-6)
            else:
                assert value == row[name]


@pytest.fixture
def saved(tmp_path: Path, fit: Fit) -> Callable[..., tuple[Path, Path, Rows]]:
    """Trains on settings, and gives checkpoint, exported folder and the Trainer's own answers."""

    def save(**settings: Any) -> tuple[Path, Path, Rows]:  # noqa: ANN401 - of `fit`
        trainer, module, data = fit(folder=tmp_path / "run", **settings)
        trainer.save_checkpoint(tmp_path / "model.ckpt")
        batches = trainer.predict(module, data)
        answers = [row for batch in batches or [] for row in cast("Rows", batch)]
        return (
            tmp_path / "model.ckpt",
            export_checkpoint(tmp_path / "model.ckpt", tmp_path / "model"),
            answers,
        )

    return save


@pytest.mark.parametrize("source", ["folder", "checkpoint"])
def test_answers__are_those_of_the_trainer(source: str, trained: Path, tweet_rows: Rows) -> None:
    """Also long texts, which are cut at 12 tokens as in training; the model's folder is gone."""
    path = trained / "pretrained"
    if source == "checkpoint":
        path = next((trained / "checkpoints").glob("epoch=0*.ckpt"))
    lines = (trained / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    predictor = Predictor.from_pretrained(path)
    _same(predictor([str(row["text"]) for row in tweet_rows]), list(map(json.loads, lines)))
    (nine,), (ten,), (many,) = (predictor("a " * number) for number in (9, 10, 900))
    assert many == ten  # [CLS] and [SEP] are the other two
    assert ten != nine
    assert not predictor.module.training
    assert not predictor.module.model.training


def test_earlier_export__is_cut_where_its_tokenizer_says(trained: Path, tmp_path: Path) -> None:
    """There the length of the training is the tokenizer's own limit, and the inputs say nothing."""
    wanted = Predictor.from_pretrained(trained / "pretrained")("a " * 900)
    old = shutil.copytree(trained / "pretrained", tmp_path / "old")
    config = json.loads((old / "config.json").read_text(encoding="utf-8"))
    del config["task_specific_params"]["text_classification"]["max_length"]
    (old / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert Predictor.from_pretrained(old)("a " * 900) != wanted
    write_settings(old, {**read_settings(old), "model_max_length": 12})
    assert Predictor.from_pretrained(old)("a " * 900) == wanted


def test_inputs__say_how_long_a_text_may_be(tiny_model: str, fit: Fit) -> None:
    """At most as long as the model takes, also under a head of one's own."""
    _, module, _ = fit(module={"head": MeanHead})
    unlimited = load_tokenizer(tiny_model)
    unlimited.model_max_length = 10**30
    many = "a " * 900
    for inputs, length in (({}, 126), ({"max_length": 999}, 126), ({"max_length": 12}, 10)):
        predictor = Predictor(module, unlimited, inputs)
        assert predictor(many) == predictor("a " * length) != predictor("a " * (length - 1))


@pytest.mark.parametrize("number", [0, 1, 7, 130])
def test_answers__in_the_given_order_for_any_number(number: int, trained: Path) -> None:
    predictor = Predictor.from_pretrained(trained / "pretrained")
    texts = [f"{'storm ' * (7 * i % 11)}{i}" for i in range(number)]  # of mixed lengths
    answers = predictor(texts)
    assert len(answers) == number
    for text, answer in list(zip(texts, answers, strict=True))[::9]:
        _same([answer], predictor(text))
    _same(predictor(texts, batch_size=3), answers)
    _same(predictor(np.array(texts), batch_size=np.int64(3)), answers)  # type: ignore[arg-type]  # a whole number
    _same(predictor(iter(texts)), answers)
    assert len({json.dumps(answer) for answer in answers}) >= 0.8 * number


def test_answers__are_plain_and_complete(trained: Path) -> None:
    (answer,) = Predictor.from_pretrained(trained / "pretrained")("smoke over the hills")
    probabilities = cast("dict[str, float]", answer["probabilities"])
    assert list(answer) == ["prediction", "probability", "probabilities"]
    assert list(probabilities) == ["no", "yes"]
    assert sum(probabilities.values()) == pytest.approx(1)
    assert answer["probability"] == max(probabilities.values())
    assert probabilities[str(answer["prediction"])] == answer["probability"]
    assert json.loads(json.dumps(answer)) == answer


def test_rows__with_a_template(saved: Callable[..., tuple[Path, Path, Rows]]) -> None:
    rows: Rows = [
        {"keyword": "fire", "place": 7, "text": "in town", "label": 1},
        {"keyword": None, "place": None, "text": "a song", "label": 0},
    ]
    data = {**dict.fromkeys(("train", "val", "predict"), rows)}
    ckpt, folder, wanted = saved(data={**data, "text_template": "{keyword}: {text} {place}"})
    for path in (ckpt, folder):
        predictor = Predictor.from_pretrained(path)
        _same(predictor(rows), wanted)
        _same(predictor(rows[0]), wanted[:1])
        _same(predictor("fire: in town 7"), wanted[:1])
        gap = float("nan")  # as pandas has it
        _same(predictor({"keyword": gap, "place": gap, "text": "a song"}), wanted[1:])
        with pytest.raises(InputError, match="item 1: no column 'place'"):
            predictor([rows[0], {"keyword": "fire", "text": "x"}])


SPELT: Rows = [
    {"k": "fire [SEP]", "t": "in [CLS] town [PAD]", "label": 1},
    {"k": "[MASK]", "t": "a [SEP][SEP] song", "label": 0},
]


@pytest.mark.parametrize("template", ["{k}: {t}", "{k} [SEP] {t}"])
def test_rows__that_spell_special_tokens_are_answered_as_in_training(
    template: str, tiny_model: str, saved: Callable[..., tuple[Path, Path, Rows]]
) -> None:
    """Of a template with special tokens a text alone lacks the real ones, so it is refused."""
    data = dict.fromkeys(("train", "val", "predict"), SPELT)
    ckpt, folder, wanted = saved(data={**data, "text_template": template})
    module = TextClassifier.load_from_checkpoint(ckpt, weights_only=True)
    plain = AutoTokenizer.from_pretrained(tiny_model)
    predictors = [Predictor.from_pretrained(path) for path in (ckpt, folder)]
    for predictor in [*predictors, Predictor(module, plain, {"text_template": template})]:
        _same(predictor(SPELT), wanted)
        text = template.format(**SPELT[0])
        if "[SEP]" not in template:
            _same(predictor(text), wanted[:1])
            continue
        for item in (text, (text, "a pair")):
            with pytest.raises(InputError, match=r"item 0: .* template .* give a dict of k, t"):
                predictor([item])


def test_pairs__as_tuples_and_rows(saved: Callable[..., tuple[Path, Path, Rows]]) -> None:
    rows: Rows = [
        {"a": "a fire in town", "b": "people leave", "label": 1},
        {"a": "a [SEP] song", "b": "it [CLS] is fun, " * 20, "label": 0},
    ]
    data = {**dict.fromkeys(("train", "val", "predict"), rows)}
    settings = {"text_column": "a", "pair_column": "b", "max_length": 16}
    ckpt, folder, wanted = saved(data={**data, **settings})
    for path in (ckpt, folder):
        predictor = Predictor.from_pretrained(path)
        _same(predictor([(row["a"], row["b"]) for row in rows]), wanted)
        _same(predictor(rows), wanted)
        _same(predictor(("a fire in town", "people leave")), wanted[:1])
        _same(predictor("a fire in town", "people leave"), wanted[:1])
        _same(predictor([str(row["a"]) for row in rows], [str(row["b"]) for row in rows]), wanted)
        with pytest.raises(InputError, match="in one call"):
            predictor([("a", "b"), "c " * 99], batch_size=1)
        with pytest.raises(InputError, match="trained on pairs"):
            predictor(["a"])


@pytest.mark.parametrize("problem", ["multi_label", "regression"])
def test_other_problems__have_their_own_answers(
    problem: str, saved: Callable[..., tuple[Path, Path, Rows]]
) -> None:
    several = problem == "multi_label"
    labels: list[Any] = ["a,c"] * 4 if several else [0.0, 0.5, 1.0, 1.5]
    rows: Rows = [{"text": f"number {i}", "label": label} for i, label in enumerate(labels)]
    names = ["a", "b", "c"] if several else None
    ckpt, folder, wanted = saved(
        data={
            **dict.fromkeys(("train", "val", "predict"), rows),
            **{"problem_type": problem, "label_names": names},
        },
        module={"problem_type": problem},
    )
    for path in (ckpt, folder):
        answers = Predictor.from_pretrained(path)([row["text"] for row in rows])
        _same(answers, wanted)
        assert isinstance(answers[0]["prediction"], list if several else float)
        assert ("probabilities" in answers[0]) == several


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (None, "expected a list of texts.*NoneType"),
        (5, "expected a list of texts"),
        (pd.DataFrame({"text": ["a"]}), "expected a list of texts"),
        ({"a"}, "expected a list of texts"),
        (["fine", 5], "item 1: .*no text but int"),
        (["fine", None], "item 1: expected a dict of columns or text"),
        (["fine", ["a", "b"]], "item 1: .*no text but list"),
        (["fine", ("a", "b", "c")], "item 1: expected a dict"),
        ([{"\x1b[31m": "a"}], "item 0: no column 'text'; found "),
        (["a", "\ud800"], "item 1: .*surrogate"),
        ([("a", "b")], "trained on single texts"),
        (["a", ("a", "b")], "in one call"),
    ],
)
def test_items__that_cannot_be_read_are_named(items: Any, message: str, trained: Path) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(InputError, match=message):
        Predictor.from_pretrained(trained / "pretrained")(items)


def test_calls__that_cannot_be_are_refused(trained: Path) -> None:
    predictor = Predictor.from_pretrained(trained / "pretrained")
    with pytest.raises(InputError, match="`batch_size`"):
        predictor(["a fire"], batch_size=0)
    with pytest.raises(InputError, match="`batch_size`"):
        predictor(["a fire"], 32)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InputError, match="`device` 'nowhere'"):
        Predictor.from_pretrained(trained / "pretrained", device="nowhere")


def test_folder__of_another_program(tiny_model: str, tmp_path: Path) -> None:
    """No problem type, no limit of the tokenizer, one output: a number for a text of any length."""
    config = AutoConfig.from_pretrained(tiny_model)
    config.num_labels, config.initializer_range = 1, 0.4
    torch.manual_seed(3)
    auto = AutoModelForSequenceClassification
    model = auto.from_config(config).eval()  # type: ignore[no-untyped-call]  # has no types
    model.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.model_max_length = int(1e30)
    tokenizer.save_pretrained(tmp_path)
    predictor = Predictor.from_pretrained(tmp_path)
    (answer,) = predictor("fire " * 500)
    batch = tokenizer("fire " * 500, truncation=True, max_length=128, return_tensors="pt")
    with torch.no_grad():
        assert answer == {"prediction": pytest.approx(model(**batch).logits.item(), abs=1e-6)}
    assert predictor([("a fire", "a song")]) != predictor(["a fire"])  # either kind, not known


def test_folder__without_a_trained_head_is_refused(tiny_model: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\(BertModel\) has no trained head"):
        Predictor.from_pretrained(tiny_model)
    with pytest.raises(InputError, match="there is no such folder"):
        Predictor.from_pretrained(tmp_path / "none")
    with pytest.raises(InputError, match="does not exist"):
        Predictor.from_pretrained(tmp_path / "none.ckpt")


def test_module__in_memory_is_put_into_evaluation(tiny_model: str, fit: Fit) -> None:
    _, module, data = fit()
    module.train()
    predictor = Predictor(module, load_tokenizer(tiny_model))
    assert predictor(["a fire"]) == predictor(["a fire"])  # no dropout
    with pytest.raises(InputError, match="in braces"):
        Predictor(module, data.processor, {"text_template": "{text.__class__}"})


def test_items__that_are_empty_are_answered_with_a_warning(
    trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = Predictor.from_pretrained(trained / "pretrained")
    predictor(["a fire"])
    assert not caplog.records
    assert len(predictor(["a", "", " "])) == 3
    assert "2 of 3 items have an empty text, the first is item 1" in caplog.text


@pytest.mark.parametrize("head", [None, MeanHead, MaxHead])
@pytest.mark.parametrize("texts", [["a fire", "", " ", "\u200b"], [""]])
def test_items__of_no_token_are_answered_as_rows_are(
    texts: list[str], head: type[PoolingHead] | None, tmp_path: Path
) -> None:
    """Of a tokenizer that adds no special tokens: an empty text is its end token."""
    base = write_texts("GPT2", tmp_path)
    module = TextClassifier(base, ["a", "b"], pretrained=False, head=head)
    data = TextClassificationDataModule(base, eval_batch_size=4, max_tokens=64)
    data.with_rows(predict=[{"text": text} for text in texts])
    (rows,) = cast("Any", quiet_trainer().predict(module, data))
    predictor = Predictor(module, data.processor)
    found = [cast("float", answer["probability"]) for answer in predictor(texts)]
    assert found == pytest.approx([row["probability"] for row in rows], abs=1e-6)
    assert len({round(value, 6) for value in found}) == len({*texts} & {"a fire", ""})
    (alone,) = predictor(texts[-1])
    assert alone["probability"] == pytest.approx(found[-1], abs=1e-6)


def test_folder__of_a_run_names_its_model(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the folder of a run; give its model, \S*/pretrained\.$"):
        Predictor.from_pretrained(trained)
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    with pytest.raises(InputError, match=r"give its model, \S*\.ckpt\.$"):
        Predictor.from_pretrained(tmp_path)


def test_head__that_is_not_known_is_told_in_one_clause(tmp_path: Path, fit: Fit) -> None:
    fit([ModelCheckpoint(tmp_path / "c"), ExportPretrained()], module={"head": MeanHead})
    path = tmp_path / "pretrained" / "config.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("lit_hf.modules.heads.MeanHead", "heads_of_nobody.Flat"))
    wanted = (
        r"^the head 'heads_of_nobody\.Flat' is not known here: `import \w+` first \([^()]*\)\.$"
    )
    with pytest.raises(InputError, match=wanted):
        Predictor.from_pretrained(tmp_path / "pretrained")
    with pytest.raises(InputError, match=wanted):  # built with no weights
        TextClassifier(str(tmp_path / "pretrained"), pretrained=False).configure_model()


@pytest.mark.parametrize("kind", [TextClassifier, ExtractiveQA, GenerativeQA, ImageClassifier])
def test_answers__that_are_no_numbers_are_refused(
    kind: type[HFModule], tiny_model: str, tiny_t5: str, tiny_vit: str
) -> None:
    """Of every task: NaN would pass for the first class, or for an empty answer."""
    named = {"label_names": ["no", "yes"]}
    folders: dict[type, tuple[str, dict[str, Any]]] = {
        TextClassifier: (tiny_model, named),
        ExtractiveQA: (tiny_model, {}),
        GenerativeQA: (tiny_t5, {}),
        ImageClassifier: (tiny_vit, named),
    }
    folder, settings = folders[kind]
    module = kind(folder, **settings)
    torch.nn.init.constant_(next(iter(module.model.parameters())), float("nan"))
    is_image = kind is ImageClassifier
    processor = load_image_processor(folder) if is_image else load_tokenizer(folder)
    is_text = kind is TextClassifier
    item = torch.zeros(3, 8, 8, dtype=torch.uint8) if is_image else ("Who?", "Ada sold it.")
    with pytest.raises(InputError, match=r"no numbers.*'item 0'"):
        Predictor(module, processor)(["a text"] if is_text else [item])


def test_windows__that_share_more_than_half_are_those_of_the_training(
    tiny_model: str, question_rows: Rows
) -> None:
    """Else a context is cut elsewhere, and its answer is another one than `predict` writes."""
    torch.manual_seed(0)
    module = ExtractiveQA(tiny_model, pretrained=False, config_overrides={"initializer_range": 0.4})
    data = ExtractiveQADataModule(tiny_model, max_length=64, doc_stride=42)
    batches = quiet_trainer(enable_checkpointing=False).predict(
        module, data.with_rows(predict=question_rows)
    )
    wanted = [row for batch in batches or [] for row in cast("Rows", batch)]
    inputs = cast("dict[str, object]", data.describe()["inputs"])
    predictor = Predictor(module, data.processor, inputs)
    answers = predictor([(str(row["question"]), str(row["context"])) for row in question_rows])
    for answer, row in zip(answers, wanted, strict=True):
        spans = [
            [(span["start"], span["end"]) for span in cast("Rows", one["n_best"])]
            for one in (answer, row)
        ]
        assert spans[0] == spans[1]
