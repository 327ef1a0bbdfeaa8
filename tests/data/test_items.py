"""What items become in each task; the Predictor's own tests show the answers."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig

from lit_hf import (
    ExtractiveQADataModule,
    HFDataModule,
    ImageClassificationDataModule,
    InputError,
    TextClassificationDataModule,
)
from lit_hf.data.items import is_list, pairs_of
from lit_hf.pretrained.image_processors import load_image_processor
from tests.data.test_own_rows import Lengths
from tests.images import drawn, png

DAY = pd.Timestamp("2024-01-02")
CONTEXT = "Ada sold the old mill by the river in 1921."


def _reader(kind: type[HFDataModule], model: str, **known: object) -> Any:  # noqa: ANN401 - of any task
    tokenizer, config = AutoTokenizer.from_pretrained(model), AutoConfig.from_pretrained(model)
    return kind.for_items(tokenizer, config, known)


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        ("q", "c", [("q", "c")]),
        ("q", ["c", "d"], [("q", "c"), ("q", "d")]),
        (("q", "r"), "c", [("q", "c"), ("r", "c")]),
        (pd.Series(["q", "r"]), iter(["c", "d"]), [("q", "c"), ("r", "d")]),
        ([], "c", []),
    ],
)
def test_pairs__of_texts_and_lists(
    first: object, second: object, pairs: list[tuple[str, str]]
) -> None:
    assert pairs_of(first, second) == pairs


@pytest.mark.parametrize(
    ("second", "message"), [(32, "batch_size"), ({"c"}, "list of texts"), (["c"], "2 first texts")]
)
def test_pairs__of_other_kinds_are_refused(second: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pairs_of(["q", "r"], second)


def test_lists__have_an_order_and_a_dimension() -> None:
    assert all(map(is_list, [[], ("a",), iter("ab"), pd.Series(["a"]), np.array(["a"])]))
    others = [np.array("a"), torch.tensor(1), {"a"}, None, b"a", {"t": "a"}, pd.DataFrame()]
    assert not any(map(is_list, others))


@pytest.mark.parametrize(
    ("columns", "item", "texts"),
    [
        ({}, "fire", ("fire",)),
        ({}, ("fire", "flood"), ("fire", "flood")),
        ({}, {"text": "fire"}, ("fire",)),
        ({}, " \u200b ", ("",)),  # as rows to predict
        ({"pair_column": "b", "text_column": "text"}, {"text": " a ", "b": " "}, (" a ", "")),
        ({"text_column": "tweet"}, {"tweet": "fire", "id": 5}, ("fire",)),
        ({"text_column": "a", "pair_column": "b"}, {"a": "x", "b": "y"}, ("x", "y")),
        ({"text_template": "{k}: {t}"}, {"k": None, "t": 5}, (": 5",)),
        ({"text_template": "{k}: {t}"}, {"k": 1999.0, "t": 0.5}, ("1999: 0.5",)),
        ({"text_template": "{k}: {t}"}, {"k": np.int64(5), "t": np.bool_(True)}, ("5: True",)),
        ({"text_template": "{k}: {t}"}, {"k": pd.NA, "t": pd.NaT}, (":",)),
        ({"text_template": "{k}: {t}"}, {"k": np.float32(0.1), "t": DAY}, ("0.1: 2024-01-02",)),
    ],
)
def test_texts__are_read_as_in_training(
    tiny_model: str, columns: Mapping[str, object], item: object, texts: tuple[str, ...]
) -> None:
    data = _reader(TextClassificationDataModule, tiny_model, max_length=32, **columns)
    rows = data.read_items([item])
    assert tuple(rows[0][name] for name in ("text", "pair") if name in rows[0]) == texts
    assert data.batch_of_rows(rows)["input_ids"].shape[0] == 1


def test_cells__without_a_text_are_named(tiny_model: str) -> None:
    data = _reader(TextClassificationDataModule, tiny_model, text_template="{k}: {t}")
    for cell in (["a"], 2.0**54):
        with pytest.raises(InputError, match=r"item 1: the text .*column 'k'"):
            data.read_items([{"k": "a", "t": "b"}, {"k": cell, "t": "b"}])


def test_questions__become_windows(tiny_model: str) -> None:
    data = _reader(ExtractiveQADataModule, tiny_model, max_length=24, doc_stride=4)
    rows = data.read_items([("who?", CONTEXT), {"question": "who?", "context": "Ada", "id": "x"}])
    batch = data.batch_of_rows(rows)
    window_of = batch["window_of"].tolist()
    assert window_of.count(0) > 1
    assert window_of.count(1) == 1
    assert batch["answers"] == [[], []]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("who?", "item 0: expected a dict of columns or question, context"),
        ({"question": "who?"}, "item 0: no column 'context'"),
        (("who?", 5), "item 0: .*int"),
        (("who?", "\u200b"), "item 0: the text is empty"),
        (("who " * 50, CONTEXT), "item 0: the question has .* tokens, there is room for 16"),
    ],
)
def test_questions__that_cannot_be_read_are_named(
    tiny_model: str, item: object, message: str
) -> None:
    data = _reader(ExtractiveQADataModule, tiny_model, max_length=24, doc_stride=4)
    with pytest.raises(InputError, match=message):
        data.read_items([item])


@pytest.fixture
def images(tiny_vit: str) -> ImageClassificationDataModule:
    config = AutoConfig.from_pretrained(tiny_vit)
    return ImageClassificationDataModule.for_items(load_image_processor(tiny_vit), config, {})


def test_images__are_paths_contents_arrays_and_tensors(
    images: ImageClassificationDataModule, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(0))
    tensor = torch.from_numpy(drawn(0)).permute(2, 0, 1)
    items = [path, str(path), png(0), Image.fromarray(drawn(0)), drawn(0), {"image": str(path)}]
    items += [tensor, tensor / 255]
    assert all(row["image"] == drawn(0).tobytes() for row in images.read_items(items))
    assert all(map(images.is_item, items))
    assert not any(map(images.is_item, [items, tensor[None], np.zeros((2, 4, 4, 3))]))
    several = images.batch_of_rows(images.read_items([drawn(0), drawn(1, 9, 5)]))
    values: Any = images.on_after_batch_transfer(several, 0)["pixel_values"]
    assert values.shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("gone.png", "item 1: the image file is not there"),
        (b"<html>", "item 1: the content is a web page"),
        (7, "item 1: there is no image"),
        (np.zeros((2, 2, 2), np.uint8), "item 1: the image is no array"),
        (torch.zeros(3, 4, 4) - 0.5, "item 1: numbers of the image lie outside 0..1"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "item 1: the image is no array"),
        (Image.open(io.BytesIO(png(0)[:60])), "item 1: the image is closed, cut off or"),
    ],
)
def test_images__that_cannot_be_read_are_named(
    item: object, message: str, images: ImageClassificationDataModule
) -> None:
    with pytest.raises(InputError, match=message):
        images.read_items([drawn(0), item])


def test_items__of_a_users_own_task_are_rows_or_what_the_columns_hold() -> None:
    data = Lengths.for_items(None, PreTrainedConfig(), {"val_fraction": 0.3, "unknown": 1})
    rows = data.read_items(["ab", {"text": "c"}, ("d",)])
    assert rows == [{"text": "ab"}, {"text": "c"}, {"text": "d"}]
    batch: Any = data.batch_of_rows(rows)
    assert batch["input_ids"].tolist() == [[97, 98], [99, 0], [100, 0]]
    for item, message in (
        ({"words": "a"}, "no column 'text'"),
        ("", "empty"),
        (("a", "b"), "dict"),
    ):
        with pytest.raises(InputError, match=f"item 1: .*{message}"):
            data.read_items(["a", item])
