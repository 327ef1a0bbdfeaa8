"""How the model of a task is loaded: by a class of transformers, with the names of the classes."""

import logging
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForTokenClassification,
    BertForTokenClassification,
    PreTrainedConfig,
)

from lit_hf import HFModule, InputError
from lit_hf.data.base import HFDataModule
from lit_hf.pretrained.label_names import names_of
from lit_hf.pretrained.models import Auto
from tests.trainers import quiet_trainer

NAMES = ["O", "B-X", "I-X"]


class Tagger(HFModule):
    """A task that says no more than how its model is loaded."""

    task = "tags"
    auto_class: Auto = AutoModelForTokenClassification

    def __init__(self, model_name: str, label_names: list[str] | None = None) -> None:
        super().__init__(model_name)
        self.label_names = label_names


class Tags(HFDataModule):
    """Data that knows the names of the tags."""

    task = "tags"
    label_names = NAMES


def _with_data(module: Tagger, model: str, stage: str) -> None:
    trainer = quiet_trainer()
    trainer.datamodule = Tags(model)  # type: ignore[attr-defined]  # as `fit` sets it
    module.trainer = trainer
    module.connect_data(stage)


def test_model__is_of_the_class_with_the_names(tiny_model: str) -> None:
    module = Tagger(tiny_model, NAMES)
    assert type(module.model) is BertForTokenClassification
    assert names_of(module.model.config) == NAMES
    batch = {name: torch.ones(2, 5, dtype=torch.int64) for name in module.input_names}
    assert module.run(batch, "predict")["logits"].shape == (2, 5, 3)


def test_names__come_from_the_data(tiny_model: str) -> None:
    module = Tagger(tiny_model)
    _with_data(module, tiny_model, "fit")
    assert module.label_names == NAMES
    early = Tagger(tiny_model)
    assert len(names_of(early.model.config)) == 2  # touched before the data was known
    with pytest.raises(InputError, match=r"made before the data was known, for 2 .* has 3: give"):
        _with_data(early, tiny_model, "fit")
    other = Tagger(tiny_model, ["O", "B-Y", "I-Y"])
    with pytest.raises(InputError, match="the module has the classes"):
        _with_data(other, tiny_model, "fit")


def test_trained_head__keeps_its_classes_or_is_initialised(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = Tagger(tiny_model, NAMES)
    trained.save_pretrained(tmp_path)
    weight = trained.model.get_parameter("classifier.weight")
    same = Tagger(str(tmp_path), NAMES)
    assert torch.equal(same.model.get_parameter("classifier.weight"), weight)
    with pytest.raises(InputError, match="in this order, the data says"):
        _ = Tagger(str(tmp_path), NAMES[::-1]).model
    with caplog.at_level(logging.WARNING):
        others = Tagger(str(tmp_path), ["O", "B-Y", "I-Y"])
        assert not torch.equal(others.model.get_parameter("classifier.weight"), weight)
    assert "re-initialised" in caplog.text


class Named(BertForTokenClassification):  # type: ignore[no-untyped-call]  # of transformers
    """A class of models, not one that finds such."""


@pytest.mark.parametrize("pretrained", [True, False])
def test_auto_class__may_be_a_class_of_models(tiny_model: str, pretrained: bool) -> None:
    class OwnTagger(Tagger):
        auto_class: Auto = Named

    module = OwnTagger(tiny_model, NAMES)
    module.pretrained = pretrained
    assert type(module.model) is Named
    assert isinstance(module.model.config, PreTrainedConfig)
    assert next(module.model.parameters()).dtype is torch.float32
