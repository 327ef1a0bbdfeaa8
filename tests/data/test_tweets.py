from pathlib import Path

import pytest

from lit_hf import InputError, TweetDataModule


def test_tweets__columns_of_the_contest(tiny_model: str, real_data: Path) -> None:
    folder = real_data / "disaster_tweets"
    data = TweetDataModule(
        tiny_model,
        train_file=str(folder / "train.csv"),
        predict_file=str(folder / "test.csv"),
        text_template="{keyword} {text}",
    )
    data.prepare_data()
    assert data.label_names == ["0", "1"]
    assert data.splits["train"].num_rows + data.splits["val"].num_rows == 7613
    assert data.splits["predict"].num_rows == 3263
    assert data.splits["predict"]["id"][:3] == ["0", "2", "3"]
    assert "labels" not in data.splits["predict"].column_names


def test_tweets__settings_reach_the_base(tiny_model: str) -> None:
    data = TweetDataModule(tiny_model, batch_size=3, max_length=17, label_names=["no", "yes"])
    assert data.batch_size == 3
    assert data.max_length == 17
    assert data.label_names == ["no", "yes"]
    assert (data.columns.text, data.columns.label, data.columns.id) == ("text", "target", "id")


def test_tweets__need_an_id_only_to_be_predicted(tiny_model: str) -> None:
    rows: list[dict[str, object]] = [{"text": f"fire {i}", "target": i % 2} for i in range(8)]
    bare = [{"text": row["text"]} for row in rows]
    data = TweetDataModule(tiny_model, val_fraction=0).with_rows(train=rows, predict=bare)
    data.setup("fit")
    assert data.splits["train"]["id"] == [str(number) for number in range(8)]
    with pytest.raises(InputError, match="no column 'id'"):
        data.setup("predict")
    named = [{**row, "id": f"k{i}"} for i, row in enumerate(rows)]
    data = TweetDataModule(tiny_model, val_fraction=0).with_rows(train=named, test=bare)
    data.setup("fit")
    assert data.splits["train"]["id"][0] == "k0"
    with pytest.raises(InputError, match=r"no column 'target'.*give them as `predict_file`"):
        data.setup("test")
