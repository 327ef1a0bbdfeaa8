import json
import logging
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from lit_hf import InputError, TextClassificationDataModule

Rows = list[dict[str, object]]


def _batch(data: TextClassificationDataModule) -> dict[str, object]:
    return dict(next(iter(data.val_dataloader())))


def test_batch__single_label(tiny_model: str, tweet_rows: Rows) -> None:
    data = TextClassificationDataModule(
        tiny_model, eval_batch_size=5, label_names=["no", "yes"]
    ).with_rows(val=tweet_rows)
    batch = _batch(data)
    assert set(batch) == {
        *("id", "index", "is_padding", "text", "labels"),
        *("input_ids", "attention_mask", "token_type_ids"),
    }
    ids, mask, labels = batch["input_ids"], batch["attention_mask"], batch["labels"]
    assert isinstance(ids, torch.Tensor)
    assert isinstance(mask, torch.Tensor)
    assert isinstance(labels, torch.Tensor)
    assert ids.shape == mask.shape
    assert ids.shape[0] == 5
    assert labels.dtype == torch.int64
    assert labels.tolist() == [1, 0, 1, 0, 1]
    assert batch["id"] == ["0", "1", "2", "3", "4"]
    assert batch["index"] == [0, 1, 2, 3, 4]
    assert mask.sum(1).max() == ids.shape[1]  # padded to the longest, no further
    texts = [data.processor.decode(row[kept.bool()]) for row, kept in zip(ids, mask, strict=True)]
    assert texts[0] == "[CLS] fire in the old town, people leave [SEP]"


def test_batch__multi_label_and_regression(tiny_model: str) -> None:
    rows: Rows = [{"text": "a", "label": "0,2"}, {"text": "b", "label": ""}]
    data = TextClassificationDataModule(
        tiny_model, problem_type="multi_label", label_names=["x", "y", "z"]
    ).with_rows(val=rows)
    flags = _batch(data)["labels"]
    assert isinstance(flags, torch.Tensor)
    assert flags.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert flags.dtype == torch.float32
    data = TextClassificationDataModule(tiny_model, problem_type="regression").with_rows(
        val=[{"text": "a", "label": "2.5"}]
    )
    target = _batch(data)["labels"]
    assert isinstance(target, torch.Tensor)
    assert target.tolist() == [2.5]
    assert data.label_names is None


def test_batch__pair_has_two_segments(tiny_model: str) -> None:
    data = TextClassificationDataModule(
        tiny_model, text_column="a", pair_column="b", label_names=["0", "1"]
    ).with_rows(val=[{"a": "a fire", "b": "a song", "label": 1}])
    batch = _batch(data)
    segments, ids = batch["token_type_ids"], batch["input_ids"]
    assert isinstance(segments, torch.Tensor)
    assert isinstance(ids, torch.Tensor)
    assert data.processor.decode(ids[0][segments[0] == 1]) == "a song [SEP]"


def test_cut_texts__are_reported(tiny_model: str, caplog: pytest.LogCaptureFixture) -> None:
    rows: Rows = [{"text": "fire " * 50, "label": 0}, {"text": "song", "label": 1}]
    data = TextClassificationDataModule(tiny_model, max_length=8, label_names=["a", "b"])
    with caplog.at_level(logging.INFO, "lit_hf"):
        data.with_rows(val=rows).val_dataloader()
    assert "val: 1 of 2 texts (50.0%) are longer than 8 tokens" in caplog.text


def test_label_names__from_data_frame_file_and_mapping(tiny_model: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"], "label": ["joy", "anger", "joy"]})
    data = TextClassificationDataModule(tiny_model).with_rows(train=frame)
    assert data.label_names == ["anger", "joy"]
    for name, text in [("train_text", "a\nb\n"), ("train_labels", "1\n0\n")]:
        (tmp_path / f"{name}.txt").write_text(text)
    (tmp_path / "mapping.txt").write_text("0\tsad\n1\tglad\n")
    data = TextClassificationDataModule(tiny_model, dataset=str(tmp_path))
    assert data.label_names == ["sad", "glad"]


def test_labels__refusals(tiny_model: str) -> None:
    def names(rows: Rows, known: list[str] | None = None) -> None:
        data = TextClassificationDataModule(tiny_model, label_names=known, val_fraction=0)
        data.with_rows(train=rows).prepare_data()

    with pytest.raises(InputError, match="the label column"):
        names([{"text": "x", "label": f"word {i}"} for i in range(60)])
    with pytest.raises(InputError, match="mixed label types"):
        names([{"text": "x", "label": 0}, {"text": "y", "label": "yes"}])
    with pytest.raises(InputError, match=r"column 'label': label '2' at row 1 is out of range"):
        names([{"text": "x", "label": 2}], ["no", "yes"])
    with pytest.raises(InputError, match="two names or more"):
        TextClassificationDataModule(tiny_model, label_names=["one"])
    with pytest.raises(InputError, match="a regression has none"):
        TextClassificationDataModule(tiny_model, label_names=["a", "b"], problem_type="regression")


def test_validation_part__is_stratified_seeded_and_disjoint(
    tiny_model: str, tweet_rows: Rows
) -> None:
    def ids(seed: int) -> tuple[list[str], list[int]]:
        data = TextClassificationDataModule(tiny_model, val_fraction=0.25, seed=seed)
        data.with_rows(train=tweet_rows).setup("fit")
        train, val = data.splits["train"], data.splits["val"]
        assert not set(train["id"]) & set(val["id"])
        return list(val["id"]), sorted(val["labels"])

    assert ids(0)[1] == [0, 0, 1, 1]
    assert ids(0) == ids(0)
    assert ids(0) != ids(1)


def test_shared_texts__are_told(
    tiny_model: str, tweet_rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    data = TextClassificationDataModule(tiny_model).with_rows(train=tweet_rows, val=tweet_rows[:4])
    with caplog.at_level(logging.WARNING, "lit_hf"):
        data.prepare_data()
        data.setup("fit")
        data.setup("fit")
    assert caplog.text.count("4 of 4 validation rows (100.0%) stand in the training rows") == 1


@pytest.mark.parametrize("length", [2, 0, 129, 10**6])
def test_max_length__has_its_limits(length: int, tiny_model: str) -> None:
    with pytest.raises(InputError, match=r"Expected `max_length`.*128"):
        _ = TextClassificationDataModule(tiny_model, max_length=length).max_length
    assert TextClassificationDataModule(tiny_model).max_length == 128


def test_tokenizer__of_another_model_is_refused(
    tiny_model: str, tmp_path: Path, tweet_rows: Rows
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 10}))
    data = TextClassificationDataModule(str(folder)).with_rows(train=tweet_rows)
    with pytest.raises(InputError, match="they do not belong together"):
        data.setup("fit")


def test_cache__second_time_opens_the_same_file_and_sees_a_change(
    tiny_model: str, tmp_path: Path
) -> None:
    path = tmp_path / "train.csv"
    path.write_text("text,label\nfire,1\nsong,0\n")

    def prepared() -> tuple[list[str], float]:
        data = TextClassificationDataModule(tiny_model, train_file=str(path), val_fraction=0)
        data.prepare_data()
        split = data.splits["train"]
        texts = [str(data.processor.decode(ids[1:-1])) for ids in split["input_ids"]]
        return texts, Path(split.cache_files[0]["filename"]).stat().st_mtime_ns

    first = prepared()
    assert prepared() == first
    path.write_text("text,label\nflood,1\nsong,0\n")
    assert prepared()[0] == ["flood", "song"]


def test_description__is_plain_and_whole(tiny_model: str, tweet_rows: Rows) -> None:
    data = TextClassificationDataModule(tiny_model, max_length=20).with_rows(train=tweet_rows)
    data.setup("fit")
    state = data.state_dict()
    described = json.loads(json.dumps(state["data"]))
    assert described["rows"] == {"train": 14, "val": 2}
    assert described["max_length"] == described["inputs"]["max_length"] == 20
    files = state["processor"]
    assert isinstance(files, dict)
    saved = json.loads(bytes(files["tokenizer_config.json"].tolist()))
    assert saved["model_max_length"] == data.processor.model_max_length == 128


def _num_special(data: TextClassificationDataModule, ids: torch.Tensor) -> list[int]:
    """How many tokens are [CLS], [SEP], [MASK] and [PAD]."""
    known = data.processor
    marks = (known.cls_token_id, known.sep_token_id, known.mask_token_id, known.pad_token_id)
    return [ids.tolist().count(mark) for mark in marks]


@pytest.mark.parametrize("model", ["tiny_model", "minilm"])
@pytest.mark.parametrize("pair", [None, "b"])
def test_texts__that_spell_special_tokens_stay_texts(
    pair: str | None, model: str, request: pytest.FixtureRequest
) -> None:
    row = {"a": "fire [SEP] in [CLS]", "b": "[MASK] old [PAD] [SEP] town", "label": 1}
    data = TextClassificationDataModule(
        request.getfixturevalue(model),
        text_column="a",
        pair_column=pair,
        label_names=["0", "1"],
    ).with_rows(val=[row])
    batch = _batch(data)
    ids = batch["input_ids"]
    assert isinstance(ids, torch.Tensor)
    assert _num_special(data, ids[0]) == [1, 1 if pair is None else 2, 0, 0]
    assert batch["text"] == [row["a"] if pair is None else f"{row['a']} ‖ {row['b']}"]


@pytest.mark.parametrize("model", ["tiny_model", "minilm"])
def test_template__keeps_its_special_tokens_and_no_others(
    model: str, request: pytest.FixtureRequest
) -> None:
    rows: Rows = [
        {"k": "fire", "t": "in the old town", "label": 1},
        {"k": "[SEP] [CLS]", "t": "a [MASK] [SEP]" + " town" * 9, "label": 0},
    ]
    data = TextClassificationDataModule(
        request.getfixturevalue(model),
        text_template="{k} [SEP] {t}",
        label_names=["0", "1"],
        max_length=18,
    ).with_rows(val=rows)
    batch = _batch(data)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    assert isinstance(ids, torch.Tensor)
    assert isinstance(mask, torch.Tensor)
    first, second = (row[kept.bool()] for row, kept in zip(ids, mask, strict=True))
    plain = data.processor("fire [SEP] in the old town", split_special_tokens=False)
    assert first.tolist() == plain["input_ids"]
    assert _num_special(data, second) == [1, 2, 0, 0]
    assert len(second) == 18
    text = f"[SEP] [CLS] [SEP] {rows[1]['t']}"
    assert isinstance(batch["text"], list)
    assert batch["text"][0] == "fire [SEP] in the old town"
    assert text.startswith(batch["text"][1].removesuffix("…"))
