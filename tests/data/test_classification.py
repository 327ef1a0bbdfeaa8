"""What data modules of texts and of images share; each has more in a file of its own."""

import logging

import pytest
from datasets import ClassLabel, Dataset

from lit_hf import HFDataModule, ImageClassificationDataModule, TextClassificationDataModule
from tests.images import drawn

LABELS = ["b", "a", "b", "a"]


def _texts(model: str, **settings: object) -> TextClassificationDataModule:
    data = TextClassificationDataModule(model, val_fraction=0, id_column="id", **settings)  # type: ignore[arg-type]  # settings of a test
    rows = [{"id": "same", "text": f"fire {n}", "label": k} for n, k in enumerate(LABELS)]
    return data.with_rows(train=rows, test=rows, predict=rows)


def _images(model: str, **settings: object) -> ImageClassificationDataModule:
    data = ImageClassificationDataModule(model, val_fraction=0, **settings)  # type: ignore[arg-type]  # settings of a test
    rows = [{"id": "same", "image": drawn(n), "label": k} for n, k in enumerate(LABELS)]
    return data.with_rows(train=rows, test=rows, predict=rows)


@pytest.fixture(params=["texts", "images"])
def data(request: pytest.FixtureRequest, tiny_model: str, tiny_vit: str) -> HFDataModule:
    """Rows of two classes that all have one id."""
    return _texts(tiny_model) if request.param == "texts" else _images(tiny_vit)


def test_rows__are_read_once_and_numbered_by_the_classes_in_order(
    data: TextClassificationDataModule | ImageClassificationDataModule,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        data.setup("fit")
        assert data.label_names == ["a", "b"]
        assert list(data.rows("train")["labels"]) == [1, 0, 1, 0]
        assert list(data.strata(data.rows("train")) or []) == [1, 0, 1, 0]
    assert caplog.text.count("an id that came before") == 1
    described = data.describe()
    assert described["classes"] == {"train": {"b": 2, "a": 2}}
    assert "labels" not in data.rows("predict").column_names


def test_rows__of_another_source_have_other_classes(
    data: TextClassificationDataModule | ImageClassificationDataModule,
) -> None:
    assert data.label_names == ["a", "b"]
    rows = [{**row, "label": "ca"[n % 2]} for n, row in data.tables("train")[0].rows()]
    data.with_rows(train=rows)
    assert data.label_names == ["a", "c"]


def test_names__of_the_format_go_before_the_labels_in_the_rows(tiny_model: str) -> None:
    rows = Dataset.from_dict({"text": ["x", "y"], "label": [1, 0]})
    rows = rows.cast_column("label", ClassLabel(names=["no", "yes"]))
    data = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(train=rows)
    data.setup("fit")
    assert data.label_names == ["no", "yes"]
    assert list(data.rows("train")["labels"]) == [1, 0]
