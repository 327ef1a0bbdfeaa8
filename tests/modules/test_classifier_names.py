"""Which names the classes of a text classifier have, and whether a trained last layer is kept."""

import logging
from collections.abc import Callable
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from lit_hf import InputError, MeanHead, TextClassificationDataModule, TextClassifier
from lit_hf.batches import TextBatch

MakeBatch = Callable[..., TextBatch]
MakeReady = Callable[[list[str]], str]
MakeTrainer = Callable[..., pl.Trainer]
NAMES = ["anger", "joy", "optimism"]


def test_names__stand_in_the_config_in_order(tiny_model: str) -> None:
    config = TextClassifier(tiny_model, NAMES).model.config
    assert config.id2label == dict(enumerate(NAMES))
    assert config.label2id == {name: index for index, name in enumerate(NAMES)}


def test_names__that_are_not_given_are_those_of_the_model(make_ready: MakeReady) -> None:
    module = TextClassifier(make_ready(NAMES))
    _ = module.model
    assert module.label_names == NAMES


def _tweets_of(model: str, names: list[str]) -> TextClassificationDataModule:
    rows = [{"text": f"tweet {index}", "label": name} for index, name in enumerate(names * 2)]
    return TextClassificationDataModule(model, val_fraction=0).with_rows(train=rows)


def test_names__that_are_not_given_come_from_the_data(
    tiny_model: str, make_trainer: MakeTrainer
) -> None:
    module = TextClassifier(tiny_model)
    make_trainer(max_steps=1, log_every_n_steps=1).fit(
        module, datamodule=_tweets_of(tiny_model, NAMES)
    )
    assert module.label_names == NAMES
    assert module.model.config.id2label == dict(enumerate(NAMES))


@pytest.mark.parametrize("names", [["anger", "joy"], ["joy", "anger", "optimism"]])
def test_names__other_than_those_of_the_data_are_refused(
    tiny_model: str, make_trainer: MakeTrainer, names: list[str]
) -> None:
    module = TextClassifier(tiny_model, names)
    with pytest.raises(InputError, match=r"the module has .*label_names=\['anger', 'joy', 'opti"):
        make_trainer(max_steps=1, log_every_n_steps=1).fit(
            module, datamodule=_tweets_of(tiny_model, NAMES)
        )


def test_names__of_a_model_touched_too_early_are_refused(
    tiny_model: str, make_trainer: MakeTrainer
) -> None:
    module = TextClassifier(tiny_model)
    _ = module.model
    with pytest.raises(InputError, match=r"'LABEL_0', 'LABEL_1'.*when it is made"):
        make_trainer(max_steps=1, log_every_n_steps=1).fit(
            module, datamodule=_tweets_of(tiny_model, NAMES)
        )


def test_problem__other_than_that_of_the_data_is_refused(
    tiny_model: str, make_trainer: MakeTrainer
) -> None:
    module = TextClassifier(tiny_model, problem_type="multi_label")
    with pytest.raises(InputError, match="the module of `problem_type: multi_label`"):
        make_trainer(max_steps=1, log_every_n_steps=1).fit(
            module, datamodule=_tweets_of(tiny_model, NAMES)
        )


def test_head__that_is_no_class_is_refused(tiny_model: str) -> None:
    for head in (MeanHead(16, 3), "MeanHead", {"class_path": "MeanHead"}):
        wrong: Any = head
        with pytest.raises(InputError, match=f"`head=MyHead`, but got a {type(head).__name__}"):
            TextClassifier(tiny_model, NAMES, head=wrong)


@pytest.mark.parametrize("names", [["joy"], [], ["joy", "joy"]])
def test_names__that_cannot_be_classes_are_refused(tiny_model: str, names: list[str]) -> None:
    with pytest.raises(InputError, match=r"two names or more|are the same label"):
        TextClassifier(tiny_model, names)


def test_names__of_a_regression_are_refused(tiny_model: str) -> None:
    with pytest.raises(InputError, match="a regression has none"):
        TextClassifier(tiny_model, NAMES, "regression")


def test_ready_head__with_the_classes_in_another_order_is_refused(make_ready: MakeReady) -> None:
    module = TextClassifier(make_ready(NAMES), ["joy", "Anger", "optimism"])
    with pytest.raises(InputError, match=r"'anger', 'joy', 'optimism'.*in this order"):
        _ = module.model


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (NAMES, True),
        (["Anger", "Joy", "Optimism"], True),
        (["0", "1", "2"], True),
        (["fear", "love", "hope"], False),
        (["anger", "joy", "hope"], False),
    ],
)
def test_ready_head__is_kept_for_its_own_classes_only(
    make_ready: MakeReady, names: list[str], kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_ready(NAMES)
    trained = AutoModelForSequenceClassification.from_pretrained(folder).state_dict()
    with caplog.at_level(logging.WARNING, "lit_hf"):
        model = TextClassifier(folder, names).model
    weights = model.state_dict()
    assert torch.equal(weights["classifier.weight"], trained["classifier.weight"]) is kept
    assert any("re-initialised" in message for message in caplog.messages) is not kept
    same = [torch.equal(weights[k], trained[k]) for k in trained if not k.startswith("classifier")]
    assert all(same)
    assert model.config.id2label == dict(enumerate(names))


def test_ready_head__is_kept_for_numbers_that_the_file_writes_otherwise(
    make_ready: MakeReady,
) -> None:
    folder = make_ready(["1", "2"])
    trained = AutoModelForSequenceClassification.from_pretrained(folder).state_dict()
    model = TextClassifier(folder, ["01", "2.0"]).model
    assert torch.equal(model.state_dict()["classifier.weight"], trained["classifier.weight"])
    assert model.config.id2label == {0: "01", 1: "2.0"}


def test_ready_head__is_drawn_for_another_number_of_classes(
    make_ready: MakeReady, make_batch: MakeBatch
) -> None:
    module = TextClassifier(make_ready(NAMES), ["a", "b", "c", "d"])
    batch = cast("dict[str, object]", make_batch(num_classes=4))
    assert module.step(batch, "train")["logits"].shape == (6, 4)
    assert module.model.config.num_labels == 4


def test_ready_head__is_drawn_for_a_regression(
    make_ready: MakeReady, make_batch: MakeBatch
) -> None:
    module = TextClassifier(make_ready(NAMES), problem_type="regression")
    batch = cast("dict[str, object]", make_batch(problem="regression"))
    assert module.step(batch, "train")["logits"].shape == (6, 1)


def test_ready_model__built_from_scratch_takes_any_order(make_ready: MakeReady) -> None:
    names = ["joy", "anger", "optimism"]
    model = TextClassifier(make_ready(NAMES), names, pretrained=False).model
    assert model.config.id2label == dict(enumerate(names))
