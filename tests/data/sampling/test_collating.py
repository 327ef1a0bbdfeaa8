import pickle
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from torch import Tensor

from lit_hf import TextClassificationDataModule
from lit_hf.data.sampling.collating import (
    Collate,
    OwnCollate,
    Padding,
    collate_of,
    pad_tokens,
)
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.pretrained.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from tests.tasks import Task

Rows = list[dict[str, object]]


def test_pad__side_and_fill(tiny_model: str) -> None:
    padding = Padding.of(load_tokenizer(tiny_model))
    columns = {"input_ids": [[5, 6], [7]], "attention_mask": [[1, 1], [1]]}
    assert pad_tokens(columns, padding)["input_ids"].tolist() == [[5, 6], [7, 0]]
    padding = padding._replace(padding_side="left")
    padded = pad_tokens(columns, padding)
    assert padded["input_ids"].tolist() == [[5, 6], [0, 7]]
    assert padded["attention_mask"].tolist() == [[1, 1], [0, 1]]
    assert pad_tokens(columns, padding, 4)["input_ids"].tolist() == [[0, 0, 5, 6], [0, 0, 0, 7]]


def test_collator__is_small_and_makes_what_the_data_makes(any_task: "Task") -> None:
    data = any_task.data(batch_size=4, val_fraction=0).with_rows(train=any_task.rows(0, 8))
    loader = data.train_dataloader()
    sent = pickle.dumps(loader.collate_fn)
    assert len(sent) < 1000  # no tokenizer, no rows
    columns: Columns = loader.dataset[0]
    made = pickle.loads(sent)(dict(columns))
    assert made["index"] == [0, 1, 2, 3]
    for name, value in data.collate(dict(columns)).items():
        assert _plain(made[name]) == _plain(value)


def test_collator__gives_the_labels_that_rows_have(any_task: "Task") -> None:
    rows = any_task.rows(0, 4)
    data = any_task.data(batch_size=4, val_fraction=0).with_rows(train=rows, predict=rows)
    (trained,), (predicted,) = data.train_dataloader(), data.predict_dataloader()
    assert ("labels" in trained) is (data.task != "extractive_qa")
    assert "labels" not in predicted


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, Tensor) else value


def test_flags__of_several_classes(tiny_model: str) -> None:
    rows: Rows = [{"text": "fire", "label": "a,b"}, {"text": "flood", "label": ""}]
    names = ["a", "b", "c"]
    for known in (names, None):
        data = TextClassificationDataModule(
            tiny_model,
            label_names=known,
            problem_type="multi_label",
            val_fraction=0,
            length_group_size=1,
        )
        (batch,) = data.with_rows(train=[*rows, {"text": "quake", "label": "c"}]).train_dataloader()
        flags = cast("Tensor", batch["labels"]).tolist()
        assert sorted(flags) == [[0, 0, 0], [0, 0, 1], [1, 1, 0]]


class _Own(TextClassificationDataModule):
    """A subclass with a batch of its own, in the way of all that this class knows."""

    def collate(self, columns: Columns) -> Mapping[str, object]:
        return {**super().collate(columns), "mark": self.seed}


class _OwnCollator(_Own):
    def collator(self) -> Any:  # noqa: ANN401 - another kind of object than its base has
        return dict


class _Encodes(TextClassificationDataModule):
    """A subclass that changes nothing of its batches need not be there in a worker."""

    def strata(self, examples: object) -> None:
        return None


@pytest.mark.parametrize(
    ("kind", "found"), [(_Own, OwnCollate), (_OwnCollator, type), (_Encodes, partial)]
)
def test_collate_of_a_subclass__is_the_one_that_it_overrides(
    kind: type[TextClassificationDataModule], found: type, tiny_model: str
) -> None:
    assert type(collate_of(kind(tiny_model))) is found


def test_collate_of_ones_own__is_sent_without_rows_and_trainer(
    tiny_model: str, tweet_rows: Rows
) -> None:
    data = _Own(tiny_model, seed=7, val_fraction=0).with_rows(train=tweet_rows)
    loader = data.train_dataloader()
    data.trainer = cast("Any", lambda: "cannot be pickled")
    sent: Collate = pickle.loads(pickle.dumps(loader.collate_fn))
    assert sent(loader.dataset[0])["mark"] == 7
    copied = cast("Any", sent).collate.data
    assert (copied.trainer, copied.splits, copied.seed) == (None, {}, 7)
    assert data.splits  # of the data itself nothing is gone


def test_collate_set_on_the_data_itself__counts(tiny_model: str, tweet_rows: Rows) -> None:
    data = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(train=tweet_rows)
    made: Callable[..., object] = lambda columns: {"mark": len(columns["text"])}  # noqa: E731 - one
    vars(data)["collate"] = made
    (batch,) = data.train_dataloader()
    assert batch["mark"] == 16
