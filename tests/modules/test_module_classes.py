import logging
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from lit_hf import InputError, Predictor, TextClassificationDataModule, TextClassifier
from tests.trainers import quiet_trainer

ROWS: list[dict[str, object]] = [
    {"text": f"fire {n}", "label": ("no", "yes")[n % 2]} for n in range(8)
]


def _fit(module: TextClassifier, model: str, folder: Path) -> None:
    data = TextClassificationDataModule(model, batch_size=4, val_fraction=0).with_rows(train=ROWS)
    quiet_trainer(default_root_dir=folder, max_epochs=1).fit(module, data)


def test_waiting__ends_where_number_names_or_model_are_known(tiny_model: str) -> None:
    ready = AutoModelForSequenceClassification.from_pretrained(tiny_model)
    waits = {
        "nothing": TextClassifier(tiny_model),
        "positive": TextClassifier(tiny_model, num_labels=2, positive_label="yes"),
        "config": TextClassifier(ready.config),
    }
    assert all(module.waits_for_data() for module in waits.values())
    known = (
        TextClassifier(tiny_model, ["a", "b"]),
        TextClassifier(tiny_model, num_labels=3),
        TextClassifier(tiny_model, None, "regression"),
        TextClassifier(ready),
    )
    assert not any(module.waits_for_data() for module in known)


def test_names__that_were_trained_stay_where_the_number_is_theirs(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = {0: "no", 1: "yes"}
    ready = AutoModelForSequenceClassification.from_pretrained(tiny_model, id2label=names)
    ready.save_pretrained(tmp_path)
    module = TextClassifier(str(tmp_path), num_labels=2)
    assert module.model.config.id2label == names
    assert module.label_names == ["no", "yes"]
    with caplog.at_level(logging.WARNING, "lit_hf"):
        assert TextClassifier(str(tmp_path), num_labels=4).model.config.num_labels == 4
    assert "re-initialised" in caplog.text
    other = TextClassifier(tiny_model, ["a", "b"], num_labels=2)
    _ = other.model
    with pytest.raises(InputError, match="has the classes"):
        _fit(other, tiny_model, tmp_path)


def test_positive_label__that_the_data_names_is_found(tiny_model: str, tmp_path: Path) -> None:
    module = TextClassifier(tiny_model, num_labels=2, positive_label="no")
    _fit(module, tiny_model, tmp_path)
    assert (module.positive_label, module.positive_number()) == ("no", 0)


def test_checkpoint__with_another_number_of_classes_is_refused(
    tiny_model: str, tmp_path: Path
) -> None:
    module = TextClassifier(tiny_model, num_labels=2)
    data = TextClassificationDataModule(tiny_model, batch_size=4).with_rows(train=ROWS)
    trainer = quiet_trainer(default_root_dir=tmp_path, max_epochs=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "some.ckpt")
    with pytest.raises(InputError, match="`num_labels` is 3"):
        TextClassifier.load_from_checkpoint(tmp_path / "some.ckpt", num_labels=3, label_names=None)


def _trained(folder: Path, model: str, problem: str, num_labels: int) -> str:
    """The folder of a model that transformers has trained."""
    ready = AutoModelForSequenceClassification.from_pretrained(
        model, num_labels=num_labels, problem_type=problem
    )
    ready.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("problem", "num_labels", "labels"),
    [
        ("regression", 1, torch.tensor([0.5, 1.5])),
        ("multi_label_classification", 3, torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])),
    ],
)
def test_problem__is_that_of_a_trained_model(
    problem: str, num_labels: int, labels: torch.Tensor, tiny_model: str, tmp_path: Path
) -> None:
    folder = _trained(tmp_path / "trained", tiny_model, problem, num_labels)
    texts = ["a fire here", "all is well"]
    inputs = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    loader: Any = DataLoader(cast("Any", [dict(inputs)]), batch_size=None)
    answers = quiet_trainer(default_root_dir=tmp_path).predict(TextClassifier(folder), loader)
    assert answers is not None
    expected = Predictor.from_pretrained(folder)(texts)
    for answer, right in zip(answers[0], expected, strict=True):
        assert isinstance(answer, dict)
        found, wanted = answer["prediction"], right["prediction"]
        is_number = isinstance(wanted, float)
        assert found == (pytest.approx(wanted, rel=1e-5) if is_number else wanted)
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    module = TextClassifier(folder).eval()
    assert torch.allclose(module(**inputs, labels=labels).loss, plain(**inputs, labels=labels).loss)
    assert module.hparams["problem_type"] == module.problem_type != "single_label"


def test_problem__of_the_data_goes_before_that_of_a_trained_model(
    tiny_model: str, tmp_path: Path
) -> None:
    folder = _trained(tmp_path / "trained", tiny_model, "regression", 1)
    data = TextClassificationDataModule(folder, batch_size=4).with_rows(predict=ROWS)
    with pytest.raises(InputError, match="problem_type='regression'"):
        quiet_trainer(default_root_dir=tmp_path).predict(TextClassifier(folder), data)
    module = TextClassifier(folder)
    _fit(module, folder, tmp_path)
    assert (module.problem_type, module.label_names) == ("single_label", ["no", "yes"])


def test_names__that_are_given_make_classes_of_a_model_of_numbers(
    tiny_model: str, tmp_path: Path
) -> None:
    folder = _trained(tmp_path / "trained", tiny_model, "regression", 1)
    module = TextClassifier(folder, ["no", "yes"])
    assert module.model.config.problem_type == "single_label_classification"
    assert module.model.num_labels == 2
