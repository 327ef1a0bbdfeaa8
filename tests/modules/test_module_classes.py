import logging
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
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
    tiny_model: str, tmp_path: Path
) -> None:
    ready = AutoModelForSequenceClassification.from_pretrained(
        tiny_model, id2label={0: "no", 1: "yes"}
    )
    ready.save_pretrained(tmp_path)
    module = TextClassifier(str(tmp_path), num_labels=2)
    assert module.model.config.id2label == {0: "no", 1: "yes"}
    assert module.label_names == ["no", "yes"]


def test_head__of_another_number_is_initialised_again(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    AutoModelForSequenceClassification.from_pretrained(tiny_model).save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING, "lit_hf"):
        module = TextClassifier(str(tmp_path), num_labels=4)
        assert module.model.config.num_labels == 4
    assert "last layer" in caplog.text


def test_names__of_the_data_replace_numbers_only(tiny_model: str, tmp_path: Path) -> None:
    module = TextClassifier(tiny_model, ["a", "b"], num_labels=2)
    _ = module.model
    with pytest.raises(InputError, match="has the classes"):
        _fit(module, tiny_model, tmp_path)


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
