from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import PIL.Image
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, Value

from lit_hf import (
    ExtractiveQADataModule,
    GenerativeQADataModule,
    HFDataModule,
    ImageClassificationDataModule,
    InputError,
    TextClassificationDataModule,
)
from lit_hf.data.sampling.samplers import LengthGroupedBatchSampler
from tests.tiny_models import paragraph_rows

if TYPE_CHECKING:
    pass

Rows = list[dict[str, object]]


def test_settings__out_of_range(tiny_model: str) -> None:
    for name, value, least in [
        ("batch_size", 0, 1),
        ("eval_batch_size", -1, 1),
        ("num_workers", -1, 0),
        ("length_group_size", 0, 1),
        ("max_tokens", 0, 1),
        ("pad_to_multiple_of", 0, 1),
        ("seed", -1, 0),
        ("seed", 2**32, 0),
    ]:
        setting: dict[str, Any] = {name: value}
        with pytest.raises(InputError, match=f"`{name}` to be at least {least}.*but got {value}"):
            TextClassificationDataModule(tiny_model, **setting)
    with pytest.raises(InputError, match="`val_fraction`"):
        TextClassificationDataModule(tiny_model, val_fraction=1.5)


def test_sources__missing_split_says_what_to_set(tiny_model: str, tweet_rows: Rows) -> None:
    data = TextClassificationDataModule(tiny_model).with_rows(train=tweet_rows)
    for split in ("test", "predict"):
        with pytest.raises(
            InputError, match=f"no {split} rows: set `{split}_file` or `dataset`, or"
        ):
            getattr(data, f"{split}_dataloader")()
    with pytest.raises(InputError, match=r"set `train_file` or `label_names`"):
        _ = TextClassificationDataModule(tiny_model).label_names


@pytest.mark.parametrize(
    ("rows", "given"),
    [
        ({"text": ["a"], "label": [1]}, "a dict"),
        (["a", "b"], "a list that holds a str"),
        ([{"text": "a"}, ("b", 1)], "a list that holds a tuple"),
        ([None], "a list that holds a NoneType"),
        (pd.Series([{"text": "a"}]), "a Series"),
        ("train.csv", "a str"),
        (7, "a int"),
    ],
)
def test_with_rows__of_another_kind(rows: object, given: str, tiny_model: str) -> None:
    wanted = f"rows given as val: expected a list of dicts or a pandas frame, but got {given}[.]"
    with pytest.raises(InputError, match=wanted):
        # Wrong on purpose.
        TextClassificationDataModule(tiny_model).with_rows(val=rows)


def test_validation__set_aside_or_given_or_none(tiny_model: str, tweet_rows: Rows) -> None:
    def data(fraction: float) -> TextClassificationDataModule:
        return TextClassificationDataModule(tiny_model, val_fraction=fraction).with_rows(
            train=tweet_rows
        )

    assert data(0.25).has_validation
    assert len(data(0.25).val_dataloader()) == 1
    without = data(0)
    assert not without.has_validation
    without.setup("fit")
    assert without.val_dataloader() == []
    assert without.splits["train"].num_rows == 16
    given = data(0.25).with_rows(val=tweet_rows[:3])
    given.setup("fit")
    assert given.splits["train"].num_rows == 16
    assert given.splits["val"].num_rows == 3
    with pytest.raises(InputError, match="too few to set"):
        data(0.01).setup("fit")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_train_batches__every_row_once_in_a_new_order(
    num_workers: int, tiny_model: str, tweet_rows: Rows
) -> None:
    data = TextClassificationDataModule(
        tiny_model, batch_size=5, val_fraction=0, num_workers=num_workers
    ).with_rows(train=tweet_rows)
    loader = data.train_dataloader()
    assert isinstance(loader.sampler, LengthGroupedBatchSampler)
    orders = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        assert sorted(len(batch["id"]) for batch in batches) == [1, 5, 5, 5]
        orders.append([name for batch in batches for name in batch["id"]])
    assert sorted(orders[0], key=int) == sorted(orders[1], key=int) == [str(i) for i in range(16)]
    assert orders[0] != orders[1]
    assert orders[0] != sorted(orders[0], key=int)


def _texts(model: str, multiple: int, max_length: int = 96) -> HFDataModule:
    rows = [{"text": "fire " * number, "label": number % 2} for number in range(3, 40, 9)]
    data = TextClassificationDataModule(
        model, max_length=max_length, val_fraction=0, pad_to_multiple_of=multiple
    )
    return data.with_rows(train=rows, val=rows)


def _spans(model: str, multiple: int, max_length: int = 64) -> HFDataModule:
    data = ExtractiveQADataModule(
        model, max_length=max_length, doc_stride=16, val_fraction=0, pad_to_multiple_of=multiple
    )
    return data.with_rows(train=paragraph_rows()[:5], val=paragraph_rows()[:5])


def _prompts(model: str, multiple: int, max_length: int = 64) -> HFDataModule:
    data = GenerativeQADataModule(
        model, max_length=max_length, doc_stride=16, val_fraction=0, pad_to_multiple_of=multiple
    )
    return data.with_rows(train=paragraph_rows()[:5], val=paragraph_rows()[:5])


@pytest.mark.parametrize("kind", [_texts, _spans, _prompts])
def test_batches__padded_to_a_multiple_hold_the_same(
    kind: Callable[[str, int], HFDataModule], tiny_model: str, tiny_t5: str
) -> None:
    model = tiny_t5 if kind is _prompts else tiny_model
    (plain,), (wide,) = (list(cast("Any", kind(model, n).val_dataloader())) for n in (1, 36))
    length = plain["input_ids"].shape[1]
    assert length % 36
    assert wide["input_ids"].shape[1] == next(n for n in range(length, 999) if n % 36 == 0)
    for name in ("input_ids", "attention_mask", "labels", "offsets"):
        if name in plain and plain[name].dim() > 1:
            num_old = plain[name].shape[1]
            assert wide[name].shape[1] % 36 == 0
            assert torch.equal(wide[name][:, :num_old], plain[name])
            assert len(wide[name][:, num_old:].unique()) == 1  # filled up with one value
    assert not wide["attention_mask"][:, length:].any()


@pytest.mark.parametrize("kind", [_texts, _spans])
def test_padding__beyond_what_the_model_takes_is_refused(
    kind: Callable[[str, int, int], HFDataModule], tiny_model: str
) -> None:
    told = "`pad_to_multiple_of` 50 pads `max_length` 120 to 150 tokens, and the model takes 128"
    with pytest.raises(InputError, match=told):
        kind(tiny_model, 50, 120).prepare_data()


def test_budget__counts_what_is_padded_to_a_multiple(tiny_model: str) -> None:
    rows = [{"text": "fire " * (3 + number % 30), "label": number % 2} for number in range(60)]
    data = TextClassificationDataModule(
        tiny_model, max_length=60, val_fraction=0, max_tokens=160, pad_to_multiple_of=20
    ).with_rows(train=rows)
    sizes = [batch["input_ids"].numel() for batch in cast("Any", data.train_dataloader())]
    assert max(sizes) <= 160
    assert min(sizes) >= 80  # each has room for no other row


@pytest.mark.parametrize("kind", ["text", "image"])
def test_data_sets_in_memory__keep_the_names_of_their_classes(
    kind: str, tiny_model: str, tiny_vit: str
) -> None:
    """As those of a folder or of the Hub; as plain rows their classes would be "0" and "1"."""
    features: dict[str, Any] = {"label": ClassLabel(names=["pos", "neg"])}
    columns: dict[str, Any] = {"label": [0, 1] * 4}
    if kind == "text":
        rows = Dataset.from_dict(
            {**columns, "text": [f"row {n}" for n in range(8)]},
            features=Features({**features, "text": Value("string")}),
        )
        data: HFDataModule = TextClassificationDataModule(tiny_model, val_fraction=0)
    else:
        pictures = [PIL.Image.new("RGB", (8, 8), (n, 0, 0)) for n in range(8)]
        rows = Dataset.from_dict(
            {**columns, "image": pictures}, features=Features({**features, "image": Image()})
        )
        data = ImageClassificationDataModule(tiny_vit, val_fraction=0)
    data.with_rows(train=rows)
    assert data.label_names == ["pos", "neg"]  # type: ignore[attr-defined]  # of both classes
    assert list(data.rows("train")["labels"]) == [0, 1] * 4
    batch = next(iter(data.train_dataloader()))
    assert len(batch["labels"]) == 8
