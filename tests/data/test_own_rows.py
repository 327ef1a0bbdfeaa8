"""Rows of a task of one's own: words to their lengths, as a data module in a few lines."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from datasets import Value

from lit_hf import HFDataModule, InputError


class Lengths(HFDataModule):
    task = "lengths"
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
