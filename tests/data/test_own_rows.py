"""Rows of a task of one's own: words to their lengths, as a data module in a few lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Value

from lit_hf import HFDataModule, InputError


class Lengths(HFDataModule):
    task = "lengths"
    processor = None
    features = {"text": Value("string"), "length": Value("int32")}  # noqa: RUF012 - never changed

    def read_row(self, row: Mapping[str, object], is_labelled: bool) -> dict[str, object]:
        text = row["text"]
        if not isinstance(text, str) or not text:
            raise ValueError("the text is empty")
        return {"text": text, "length": len(text)} if is_labelled else {"text": text}

    def encode_rows(self, columns: dict[str, list[object]]) -> dict[str, list[object]]:
        ids = [[ord(letter) for letter in str(text)] for text in columns["text"]]
        return {"input_ids": list(ids), **{k: v for k, v in columns.items() if k == "length"}}

    def collate(self, columns: dict[str, list[object]]) -> dict[str, object]:
        rows = [torch.tensor(ids) for ids in columns["input_ids"]]
        batch = {"input_ids": torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)}
        return {**batch, "lengths": columns.get("length")}

    def save_processor(self, folder: Path) -> None:
        """There is none."""


ROWS = [{"id": f"n{n}", "text": "a" * (n + 1)} for n in range(6)]


def test_rows__are_read_encoded_named_and_put_in_batches() -> None:
    data = Lengths("none", val_fraction=0).with_rows(train=ROWS, predict=ROWS[:2])
    rows = data.rows("train")
    assert rows["id"] == [f"n{n}" for n in range(6)]
    (batch,) = list(data.predict_dataloader())
    assert batch["id"] == ["n0", "n1"]
    assert batch["input_ids"].tolist() == [[97, 0], [97, 97]]
    trained = {
        i: n for b in data.train_dataloader() for i, n in zip(b["id"], b["lengths"], strict=True)
    }
    assert trained == {f"n{n}": n + 1 for n in range(6)}


def test_rows__that_are_bad_are_told_by_place_and_left_out_where_asked() -> None:
    bad = [*ROWS, {"id": "x", "text": ""}]
    with pytest.raises(InputError, match="row 7") as refused:
        Lengths("none", val_fraction=0).with_rows(train=bad).rows("train")
    assert "the text is empty" in str(refused.value)
    data = Lengths("none", val_fraction=0, on_bad_row="skip").with_rows(train=bad)
    assert data.rows("train").num_rows == 6


def test_cache__knows_the_settings_and_the_code_of_the_class() -> None:
    class Longer(Lengths):
        def __init__(self, model_name: str, factor: int = 1, **settings: object) -> None:
            super().__init__(model_name, **settings)  # type: ignore[arg-type]  # handed on
            self.factor = factor

        def encode_rows(self, columns: dict[str, list[object]]) -> dict[str, list[object]]:
            found = super().encode_rows(columns)
            return {**found, "length": [self.factor] * len(found["input_ids"])}

    for factor in (2, 3):
        data = Longer("none", factor, val_fraction=0).with_rows(train=ROWS)
        assert set(data.rows("train")["length"]) == {factor}


class Words(HFDataModule):
    """Rows of a task with texts: tokenizer, padding and what a Predictor has to know are there."""

    task = "words"
    features = {"text": Value("string"), "label": Value("string")}  # noqa: RUF012 - never changed

    def __init__(self, model_name: str, longest: int = 5, **settings: Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(model_name, **settings)
        self.longest = longest

    def read_row(self, row: Mapping[str, object], is_labelled: bool) -> dict[str, object]:
        return {"text": row["text"], **({"label": row["label"]} if is_labelled else {})}

    def encode_rows(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        cut = {"truncation": True, "max_length": self.longest}
        tokens = self.processor(columns["text"], **cut)
        marks = [list(range(len(ids))) for ids in tokens["input_ids"]]
        return {**tokens, "marks": marks, "has_label": ["label" in columns] * len(marks)}

    def collate(self, columns: dict[str, list[Any]]) -> dict[str, object]:
        return {**self.pad(columns, marks=-7), "has_label": columns["has_label"]}


LABELLED = [{"text": text, "label": "x"} for text in ("fire in town", "rain", "so much rain today")]


def test_texts__need_no_line_for_tokenizer_and_padding(tiny_model: str, tmp_path: Path) -> None:
    data = Words(tiny_model, val_fraction=0, pad_to_multiple_of=8)
    data.with_rows(train=LABELLED, predict=[{"text": "fire"}])
    batch = next(iter(data.train_dataloader()))
    assert batch["input_ids"].shape == batch["marks"].shape == (3, 8)
    is_padding = batch["attention_mask"] == 0
    assert torch.equal(batch["marks"] == -7, is_padding)
    assert batch["has_label"] == [True] * 3
    assert next(iter(data.predict_dataloader()))["has_label"] == [False]  # no empty column
    inputs = data.describe()["inputs"]
    assert inputs == {"longest": 5, "split_special_tokens": True}
    data.save_processor(tmp_path)
    assert (tmp_path / "tokenizer.json").is_file()


def test_rows__without_a_column_are_told_by_place(tiny_model: str) -> None:
    data = Words(tiny_model, val_fraction=0).with_rows(train=[*LABELLED, {"text": "so"}])
    with pytest.raises(InputError, match="row 4") as refused:
        data.rows("train")
    assert "there is no column 'label'" in str(refused.value)


def test_texts__that_the_model_does_not_know_are_told(
    tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"text": "\uc548\ub155\ud558\uc138\uc694", "label": "x"}] * 3
    Words(tiny_model, val_fraction=0).with_rows(train=rows).rows("train")
    assert "of the tokens are unknown to the model" in caplog.text


class Doubled(Lengths):
    def encode_rows(self, columns: dict[str, list[object]]) -> dict[str, list[object]]:
        found = super().encode_rows(columns)
        return {**found, "input_ids": [[*ids, *ids] for ids in found["input_ids"]]}  # type: ignore[misc]  # lists


class Undoubled(Doubled):
    def encode_rows(self, columns: dict[str, list[object]]) -> dict[str, list[object]]:
        return Lengths.encode_rows(self, columns)


def test_cache__tells_classes_of_one_file_apart() -> None:
    lengths = [
        [
            len(ids)
            for ids in kind("none", val_fraction=0).with_rows(train=ROWS).rows("train")["input_ids"]
        ]
        for kind in (Doubled, Undoubled, Doubled)
    ]
    once = [len(row["text"]) for row in ROWS]
    twice = [2 * length for length in once]
    assert lengths == [twice, once, twice]


def test_columns__that_features_do_not_name_are_refused() -> None:
    class More(Lengths):
        def read_row(self, row: Mapping[str, object], is_labelled: bool) -> dict[str, object]:
            return {**super().read_row(row, is_labelled), "extra": 1}

    with pytest.raises(TypeError, match=r"'extra'.*`features`: text, length"):
        More("none", val_fraction=0).with_rows(train=ROWS).rows("train")
