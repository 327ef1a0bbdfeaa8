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
    *("tab\t", "\u2028", "\x1b[31m", "'", "\\n", "ü"),
]


def _trainer(folder: Path, *callbacks: Callback) -> pl.Trainer:
    return quiet_trainer(default_root_dir=folder, callbacks=[PredictionWriter(), *callbacks])


def _answers(folder: Path) -> Rows:
    text = (folder / "predictions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line, parse_constant=pytest.fail) for line in text.split("\n")[:-1]]


def _table(folder: Path) -> list[list[str]]:
    with (folder / "submission.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_predictions__each_row_once_in_order(
    tmp_path: Path, fit: Fit, tweet_rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**row, "id": f"tweet-{99 - number}"} for number, row in enumerate(tweet_rows)]
    settings = {"predict": rows, "id_column": "id", "eval_batch_size": 3}
    _, module, data = fit(folder=tmp_path / "fit", data={**settings, "train": rows, "val": rows})
    _trainer(tmp_path / "out").predict(module, data, return_predictions=False)
    answers = _answers(tmp_path / "out")
    assert [answer["id"] for answer in answers] == [row["id"] for row in rows]
    assert all(list(a) == ["id", "prediction", "probability", "probabilities"] for a in answers)
    module.eval()
    encoded = data.processor([row["text"] for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        wanted = module(dict(encoded)).logits.softmax(1)
    for answer, values in zip(answers, wanted.tolist(), strict=True):
        assert list(answer["probabilities"].values()) == pytest.approx(values, abs=1e-5)
        best = max(answer["probabilities"], key=answer["probabilities"].get)
        assert (answer["prediction"], answer["probability"]) == (
            best,
            max(answer["probabilities"].values()),
        )
    labels = {"no": "0", "yes": "1"}  # as the training rows write them
    assert _table(tmp_path / "out") == [
        ["id", "label"],
        *([a["id"], labels[a["prediction"]]] for a in answers),
    ]
    assert _names(tmp_path / "out") == {"predictions.jsonl", "submission.csv", "results.json"}
    out = tmp_path / "out"
    assert f"wrote {out}/predictions.jsonl and {out}/submission.csv" in capsys.readouterr().out


def test_submission__has_labels_as_the_training_file_writes_them(
    tmp_path: Path, fit: Fit, tweet_rows: Rows
) -> None:
    """Also where only a checkpoint knows the training file, as under `lit-hf predict`."""
    words = [{**row, "label": ["no", "yes"][int(row["label"])]} for row in tweet_rows]
    for name, rows, known in (("numbers", tweet_rows, {"0", "1"}), ("words", words, {"no", "yes"})):
        trainer, module, _ = fit(folder=tmp_path / name, data={"train": rows, "val": rows})
        trainer.save_checkpoint(tmp_path / "model.ckpt")
        named = [{"key": "x", "text": row["text"]} for row in rows]
        data = TextClassificationDataModule(
            module.model_name, id_column="key", label_column="target", label_names=["no", "yes"]
        ).with_rows(predict=named)
        _trainer(tmp_path / name).predict(
            TextClassifier(module.model_name, label_names=["no", "yes"]),
            data,
            ckpt_path=tmp_path / "model.ckpt",
            weights_only=True,
        )
        table = _table(tmp_path / name)
        assert table[0] == ["key", "target"]
        assert {cell for _, cell in table[1:]} <= known


def test_submission__several_labels_and_numbers(tmp_path: Path, fit: Fit) -> None:
    rows = [{"id": i, "text": f"number {i}", "label": "a;c"} for i in range(4)]
    data = {"train": rows, "val": rows, "predict": rows, "id_column": "id"}
    several = {"problem_type": "multi_label", "label_names": ["a", "b", "c"]}

    class Sure(Callback):
        def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            assert isinstance(pl_module, TextClassifier)
            with torch.no_grad():
                bias = pl_module.model.get_parameter("classifier.bias")
                bias.copy_(torch.tensor([9.0, -9.0, 9.0]))

    _, module, rows_of = fit(
        folder=tmp_path / "fit",
        data={**data, **several, "label_separator": ";"},
        module={"problem_type": "multi_label"},
    )
    _trainer(tmp_path / "several", Sure()).predict(module, rows_of)
    assert _table(tmp_path / "several")[1:] == [[str(i), "a;c"] for i in range(4)]
    answer = _answers(tmp_path / "several")[0]
    assert answer["prediction"] == ["a", "c"]
    assert answer["probabilities"].keys() == {"a", "b", "c"}

    numbers = [{**row, "label": 2.5} for row in rows]
    _, module, rows_of = fit(
        folder=tmp_path / "fit2",
        data={
            **{**data, "train": numbers, "val": numbers},
            **{"problem_type": "regression", "label_names": None},
        },
        module={"problem_type": "regression"},
    )
    _trainer(tmp_path / "number").predict(module, rows_of)
    answers = _answers(tmp_path / "number")
    assert all(answer.keys() == {"id", "prediction"} for answer in answers)
    assert [float(cell) for _, cell in _table(tmp_path / "number")[1:]] == [
        answer["prediction"] for answer in answers
    ]
    with torch.no_grad():
        module.model.get_parameter("classifier.bias").fill_(float("nan"))
    with pytest.raises(InputError, match="no numbers"):
        _trainer(tmp_path / "broken").predict(module, rows_of)
    assert not (tmp_path / "broken" / "submission.csv").exists()


def test_ids__survive_both_files(tmp_path: Path, fit: Fit) -> None:
    rows = [{"id": name, "text": "a fire", "label": i % 2} for i, name in enumerate(IDS)]
    _, module, data = fit(
        folder=tmp_path / "fit",
        data={**dict.fromkeys(("train", "val", "predict"), rows), "id_column": "id"},
    )
    _trainer(tmp_path).predict(module, data)
    assert [answer["id"] for answer in _answers(tmp_path)] == IDS
    assert [name for name, _ in _table(tmp_path)[1:]] == IDS
    raw = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8")
    assert len(raw.splitlines()) == len(IDS)  # whatever counts as the end of a line
    assert "\x1b" not in raw
    assert b"a fire" not in (tmp_path / "submission.csv").read_bytes()
    assert b"\r\n" not in (tmp_path / "submission.csv").read_bytes().replace(b"crlf\r\n", b"")


def test_predictions__of_a_killed_run_do_not_look_finished(tmp_path: Path, fit: Fit) -> None:
    class Kill(Callback):
        def on_predict_batch_end(
            self,
            trainer: pl.Trainer,
            pl_module: pl.LightningModule,
            outputs: object,
            batch: object,
            batch_idx: int,
            dataloader_idx: int = 0,
        ) -> None:
            if batch_idx == 1:
                raise KeyError("killed")

    _, module, data = fit(folder=tmp_path / "fit", data={"eval_batch_size": 4})
    folder = tmp_path / "out"
    with pytest.raises(KeyError, match="killed"):
        _trainer(folder, Kill()).predict(module, data)
    assert not (folder / "predictions.jsonl").exists()
    (folder / ".predictions.jsonl.part-1").write_text("left by two processes")
    _trainer(folder).predict(module, data)
    finished = (folder / "predictions.jsonl").read_bytes()
    assert len(_answers(folder)) == 16
    assert _names(folder) == {
        "predictions.jsonl",
        "results.json",
    }  # no id column
    with pytest.raises(KeyError, match="killed"):
        _trainer(folder, Kill()).predict(module, data)
    assert (folder / "predictions.jsonl").read_bytes() == finished


@pytest.mark.parametrize("limit", [{}, {"limit_predict_batches": 2}, {"fast_dev_run": True}])
def test_predictions__of_a_part_of_the_rows_say_so(
    limit: dict[str, Any], tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    _, module, data = fit(data={"eval_batch_size": 3})
    trainer = quiet_trainer(default_root_dir=tmp_path, callbacks=[PredictionWriter()], **limit)
    with caplog.at_level(logging.WARNING):
        trainer.predict(module, data, return_predictions=False)
    answers = _answers(tmp_path)
    told = f"only {len(answers)} of 16 rows"
    assert (told in caplog.text) == bool(limit) == (len(answers) < 16)
    assert all(f"trainer.{name}" in caplog.text for name in limit)


def test_writer__wants_plain_names_and_numbered_rows(
    tmp_path: Path, fit: Fit, tiny_model: str
) -> None:
    for name in ("", "..", "a/b.jsonl", "/tmp/x", "config.yaml", "samples.jsonl", ".jsonl"):
        with pytest.raises(InputError, match=r"plain name that ends in \.jsonl"):
            PredictionWriter(name)
    _, module, data = fit(folder=tmp_path / "fit")
    batches = [dict(batch) for batch in data.predict_dataloader()]
    for batch in batches:
        batch.pop("index")
    # A list will do as a dataset.
    loader: DataLoader[Any] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    _trainer(tmp_path / "out").predict(module, loader)  # the module counts rows as they are dealt
    wanted = [name for batch in batches for name in batch["id"]]
    assert [row["id"] for row in _answers(tmp_path / "out")] == wanted

    class Unnumbered(TextClassifier):
        def predict_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ANN401 - any batch's answers
            rows: Any = super().predict_step(batch, batch_idx)
            return [{name: row[name] for name in row.keys() - {"index"}} for row in rows]

    other = Unnumbered(tiny_model, ["no", "yes"])
    with pytest.raises(InputError, match="`predict_step` has to"):
        _trainer(tmp_path / "other").predict(other, loader)


@pytest.mark.parametrize("number", [5, 7])
def test_two_processes__write_the_same_files(
    number: int, two_processes: Path, ddp_rows: Rows, tiny_model: str, tmp_path: Path
) -> None:
    module = TextClassifier.load_from_checkpoint(
        (two_processes / "checkpoint").read_text(), weights_only=True
    )
    data = TextClassificationDataModule(
        tiny_model, eval_batch_size=1, id_column="id", label_names=["no", "yes"]
    ).with_rows(train=ddp_rows, predict=ddp_rows[:number])
    data.setup("predict")
    _trainer(tmp_path).predict(module, data)
    shared = two_processes / f"predict{number}"
    assert len(_answers(shared)) == number
    assert (shared / "predictions.jsonl").read_bytes() == (
        tmp_path / "predictions.jsonl"
    ).read_bytes()
    assert [name for name, _ in _table(shared)[1:]] == [row["id"] for row in ddp_rows[:number]]
    assert _names(shared) == {"predictions.jsonl", "submission.csv", "results.json"}
    printed = (two_processes / "out").read_text(encoding="utf-8")
    assert printed.count(f"wrote {shared}/predictions.jsonl") == 1


def test_two_processes__write_the_answers_of_a_test_with_their_truth(
    two_processes: Path, ddp_rows: Rows
) -> None:
    lines = (two_processes / "test7" / "test_predictions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == [row["id"] for row in ddp_rows]
    assert [row["truth"] for row in rows] == [["no", "yes"][int(row["label"])] for row in ddp_rows]
    assert all(row["correct"] == (row["truth"] == row["prediction"]) for row in rows)
    alone = [json.loads(line) for line in _lines(two_processes / "predict7")]
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in alone]


def _lines(folder: Path) -> list[str]:
    return (folder / "predictions.jsonl").read_text().splitlines()


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
    lines = (tmp_path / f"{verb}_predictions.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    key = "answers" if "answers" in rows[0] else "label"
    assert [row["truth"] for row in found] == [row[key] for row in rows]
    assert all(isinstance(row["correct"], bool) for row in found)
    assert not (tmp_path / "predictions.jsonl").exists()
    trainer.predict(module, data, return_predictions=False)
    told = [json.loads(line) for line in _lines(tmp_path)]
    for answer, wanted in zip(found, told, strict=True):
        assert (answer["id"], answer["prediction"]) == (wanted["id"], wanted["prediction"])
    files = json.loads((tmp_path / "results.json").read_text())["files"]
    assert f"{verb}_predictions.jsonl" in files


def test_predict__takes_the_loader_of_a_test_too(
    tmp_path: Path, fit: Fit, tweet_rows: Rows
) -> None:
    _, module, data = fit(folder=tmp_path, data={"test": tweet_rows, "predict": tweet_rows})
    trainer = _trainer(tmp_path / "out")
    found = trainer.predict(module, data.test_dataloader())
    assert found is not None
    rows = [row for batch in found for row in batch]
    assert [row["index"] for row in rows] == list(range(len(tweet_rows)))
    assert len(_lines(tmp_path / "out")) == len(tweet_rows)


def test_writer__refuses_other_verbs() -> None:
    with pytest.raises(InputError, match="evaluations"):
        PredictionWriter(evaluations=["fit"])  # type: ignore[list-item]  # is refused
