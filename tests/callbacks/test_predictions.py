import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from lit_hf import InputError, PredictionWriter, TextClassificationDataModule, TextClassifier
from tests.images import NAMES
from tests.tasks import TASKS, task_of
from tests.trainers import quiet_trainer

Rows = list[dict[str, Any]]
Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]
IDS = [
    *("a,b", 'say "hi"', "two\nlines", "back\rhome", "crlf\r\n", " spaces ", "=1+1", "🔥 火事"),
    *("tab\t", "a\u2028b", "\x1b[31m", "'", "\\n", "ü"),
]


def _trainer(folder: Path, *callbacks: Callback, **settings: Any) -> pl.Trainer:  # noqa: ANN401 - the Trainer's
    callbacks = (PredictionWriter(), *callbacks)
    return quiet_trainer(default_root_dir=folder, callbacks=list(callbacks), **settings)


def _answers(folder: Path, name: str = "predictions.jsonl") -> Rows:
    text = (folder / name).read_text(encoding="utf-8")
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def _table(folder: Path) -> list[list[str]]:
    with (folder / "submission.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_predictions__each_row_once_in_order_with_hostile_ids(tmp_path: Path, fit: Fit) -> None:
    rows = [{"id": id, "text": f"fire {'x ' * n}", "label": n % 2} for n, id in enumerate(IDS)]
    settings = {
        "predict": rows,
        "id_column": "id",
        "eval_batch_size": 3,
        "train": rows,
        "val": rows,
    }
    _, module, data = fit(folder=tmp_path / "fit", data=settings)
    _trainer(tmp_path / "out").predict(module, data, return_predictions=False)
    answers = _answers(tmp_path / "out")
    assert [answer["id"] for answer in answers] == IDS
    assert all(list(a) == ["id", "prediction", "probability", "probabilities"] for a in answers)
    module.eval()
    encoded = data.processor([row["text"] for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = module(dict(encoded)).logits.softmax(1)
    for answer, values in zip(answers, expected.tolist(), strict=True):
        assert list(answer["probabilities"].values()) == pytest.approx(values, abs=1e-5)
        assert answer["prediction"] == ["no", "yes"][values.index(max(values))]
    labels = {"no": "0", "yes": "1"}  # as the training rows write them
    table = [[answer["id"], labels[answer["prediction"]]] for answer in answers]
    assert _table(tmp_path / "out") == [["id", "label"], *table]
    assert "\x1b" not in (tmp_path / "out" / "predictions.jsonl").read_text(encoding="utf-8")
    assert _names(tmp_path / "out") == {"predictions.jsonl", "submission.csv", "results.json"}


def test_submission__has_labels_as_the_training_file_writes_them(
    tmp_path: Path, fit: Fit, tweet_rows: Rows
) -> None:
    """Also where only a checkpoint knows the training file, as under `lit-hf predict`."""
    words = [{**row, "label": ["no", "yes"][int(row["label"])]} for row in tweet_rows]
    for name, rows, known in (("numbers", tweet_rows, {"0", "1"}), ("words", words, {"no", "yes"})):
        trainer, module, _ = fit(folder=tmp_path / name, data={"train": rows, "val": rows})
        trainer.save_checkpoint(tmp_path / "model.ckpt")
        data = TextClassificationDataModule(
            module.model_name, id_column="key", label_column="target", label_names=["no", "yes"]
        ).with_rows(predict=[{"key": "x", "text": row["text"]} for row in rows])
        new = TextClassifier(module.model_name, label_names=["no", "yes"])
        path = tmp_path / "model.ckpt"
        _trainer(tmp_path / name).predict(new, data, ckpt_path=path, weights_only=True)
        header, *table = _table(tmp_path / name)
        assert header == ["key", "target"]
        assert {cell for _, cell in table} <= known


def test_predictions__of_a_killed_run_do_not_look_finished(tmp_path: Path, fit: Fit) -> None:
    class Kill(Callback):
        def on_predict_batch_end(self, *args: object, **kwargs: object) -> None:
            raise KeyError("killed")

    _, module, data = fit(folder=tmp_path / "fit", data={"eval_batch_size": 4})
    folder = tmp_path / "out"
    with pytest.raises(KeyError, match="killed"):
        _trainer(folder, Kill()).predict(module, data)
    assert not (folder / "predictions.jsonl").exists()
    _trainer(folder).predict(module, data)
    finished = (folder / "predictions.jsonl").read_bytes()
    assert len(_answers(folder)) == 16
    assert _names(folder) == {"predictions.jsonl", "results.json"}  # no id column
    with pytest.raises(KeyError, match="killed"):
        _trainer(folder, Kill()).predict(module, data)
    assert (folder / "predictions.jsonl").read_bytes() == finished


@pytest.mark.parametrize("limit", [{}, {"limit_predict_batches": 2}, {"fast_dev_run": True}])
def test_predictions__of_a_part_of_the_rows_say_so(
    limit: dict[str, Any], tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    _, module, data = fit(data={"eval_batch_size": 3})
    with caplog.at_level(logging.WARNING):
        _trainer(tmp_path, **limit).predict(module, data, return_predictions=False)
    num_answers = len(_answers(tmp_path))
    is_told = f"only {num_answers} of 16 rows" in caplog.text
    assert is_told == bool(limit) == (num_answers < 16)
    assert all(f"trainer.{name}" in caplog.text for name in limit)


def test_writer__expects_plain_names_and_numbered_rows(
    tmp_path: Path, fit: Fit, tiny_model: str
) -> None:
    for name in ("", "..", "a/b.jsonl", "config.yaml", "samples.jsonl", ".jsonl"):
        with pytest.raises(InputError, match="plain name"):
            PredictionWriter(name)
    _, _, data = fit(folder=tmp_path / "fit")

    class Unnumbered(TextClassifier):
        def predict_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ANN401 - any batch's answers
            return [{"id": row["id"]} for row in super().predict_step(batch, batch_idx)]

    loader: Any = DataLoader(list(data.predict_dataloader()), batch_size=None)  # type: ignore[arg-type]  # a list will do
    with pytest.raises(InputError, match="`predict_step`"):
        _trainer(tmp_path / "other").predict(Unnumbered(tiny_model, ["no", "yes"]), loader)


def test_two_processes__write_the_same_files(
    two_processes: Path, ddp_rows: Rows, tiny_model: str, tmp_path: Path
) -> None:
    path = (two_processes / "checkpoint").read_text()
    module = TextClassifier.load_from_checkpoint(path, weights_only=True)
    data = TextClassificationDataModule(
        tiny_model, eval_batch_size=1, id_column="id", label_names=["no", "yes"]
    ).with_rows(train=ddp_rows, predict=ddp_rows)
    _trainer(tmp_path).predict(module, data)
    shared = two_processes / "predict"
    for name in ("predictions.jsonl", "submission.csv"):
        assert (shared / name).read_bytes() == (tmp_path / name).read_bytes()
    assert _names(shared) == {"predictions.jsonl", "submission.csv", "results.json"}
    rows = _answers(two_processes / "test", "test_predictions.jsonl")
    assert [row["id"] for row in rows] == [row["id"] for row in ddp_rows]
    assert [row["truth"] for row in rows] == [["no", "yes"][int(row["label"])] for row in ddp_rows]
    assert all(row["correct"] == (row["truth"] == row["prediction"]) for row in rows)
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in _answers(shared)]


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("verb", ["test", "validate"])
def test_evaluation__writes_answers_with_their_truth_in_all_tasks(
    name: str, verb: str, tiny_model: str, tiny_t5: str, tiny_vit: str, tmp_path: Path
) -> None:
    task = task_of(name, tiny_model, tiny_t5, tiny_vit)
    rows, module = task.rows(0, 5), task.module()
    names = {"label_names": NAMES} if "label" in rows[0] else {}
    data = task.data(eval_batch_size=2, **names).with_rows(val=rows, test=rows, predict=rows)
    writer = PredictionWriter(evaluations=["test", "validate"])
    trainer = quiet_trainer(default_root_dir=tmp_path, callbacks=[writer])
    getattr(trainer, verb)(module, data, verbose=False)
    found = _answers(tmp_path, f"{verb}_predictions.jsonl")
    key = "answers" if "answers" in rows[0] else "label"
    assert [row["truth"] for row in found] == [row[key] for row in rows]
    assert all(isinstance(row["correct"], bool) for row in found)
    assert not (tmp_path / "predictions.jsonl").exists()
    trainer.predict(module, data, return_predictions=False)
    for answer, expected in zip(found, _answers(tmp_path), strict=True):
        assert (answer["id"], answer["prediction"]) == (expected["id"], expected["prediction"])
    files = json.loads((tmp_path / "results.json").read_text())["files"]
    assert f"{verb}_predictions.jsonl" in files
