"""Metrics of the user's own in all four tasks: what they receive, and the command with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import (
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassF1Score,
)
from torchmetrics.regression import MeanSquaredError
from torchmetrics.text import BLEUScore
from torchmetrics.wrappers import ClasswiseWrapper, MinMaxMetric

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
from tests.commands import Done, fit_words, run_command
from tests.images import NAMES
from tests.tasks import Task, task_of
from tests.trainers import quiet_trainer


class Matches(Metric):
    """The share of texts that are one of the gold answers; it says nothing of its direction."""

    right: Tensor
    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("rows", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, texts: list[str], answers: list[list[str]]) -> None:
        """Count B texts and B lists of texts."""
        self.right += sum(text in gold for text, gold in zip(texts, answers, strict=True))
        self.rows += len(texts)

    def compute(self) -> Tensor:
        """A number in 0..1."""
        return self.right / self.rows


@pytest.fixture
def make_task(tiny_model: str, tiny_t5: str, tiny_vit: str) -> Callable[[str], Task]:
    """Makes a tiny task of a name."""
    return lambda name: task_of(name, tiny_model, tiny_t5, tiny_vit)


def _validated(task: Task, **module: Any) -> dict[str, float]:  # noqa: ANN401 - settings of the module
    pl.seed_everything(0, verbose=False)
    overrides = {"initializer_range": 0.4} if task.name in ("text", "image") else None
    made = task.module(pretrained=False, config_overrides=overrides, **module)
    names = {"label_names": NAMES} if task.name in ("text", "image") else {}
    data = task.data(batch_size=4, eval_batch_size=3, val_fraction=0, **names)
    data = data.with_rows(val=task.rows(0, 7))
    (scores,) = quiet_trainer().validate(made, data, verbose=False)
    return {name.removeprefix("val/"): value for name, value in scores.items()}


@pytest.mark.parametrize("name", ["text", "image"])
@pytest.mark.parametrize("positive", ["dark", "light"])
def test_binary_metric__is_of_the_positive_class(
    name: str, positive: str, make_task: Callable[[str], Task]
) -> None:
    """Also where that is the class of number 0, and within a wrapper."""
    found = _validated(
        make_task(name),
        positive_label=positive,
        metrics={
            "mine": BinaryF1Score(),
            "range": MinMaxMetric(BinaryF1Score()),
            "macro": MulticlassF1Score(2),
            "wrapped": ClasswiseWrapper(MulticlassF1Score(2, average=None), ["dark", "light"]),
        },
    )
    assert found["mine"] == pytest.approx(found["f1"], abs=1e-6)
    assert found["range_raw"] == found["mine"]
    of_one = found[f"wrapped_multiclassf1score_{positive}"]
    assert of_one == pytest.approx(found["f1"], abs=1e-6)
    assert found["num_examples"] == 7


@pytest.mark.parametrize("name", ["text", "image"])
def test_class_metric__receives_probabilities_and_a_function_classes(
    name: str, make_task: Callable[[str], Task]
) -> None:
    found = _validated(
        make_task(name),
        metrics={
            "top": MulticlassAccuracy(2, average="micro", top_k=2),
            "one": MulticlassAccuracy(2, average="micro"),
            "mean": lambda predictions, labels: (predictions == labels).mean(),
        },
    )
    assert found["top"] == 1
    assert found["one"] == pytest.approx(found["accuracy"])
    assert found["mean"] == pytest.approx(found["accuracy"])


@pytest.mark.parametrize("name", ["extractive", "generative"])
def test_metric__of_answers_receives_texts_and_all_gold_answers(
    name: str, make_task: Callable[[str], Task]
) -> None:
    seen: list[tuple[list[str], list[list[str]]]] = []

    def share(texts: list[str], answers: list[list[str]]) -> float:
        seen.append((texts, answers))
        return sum(text in gold for text, gold in zip(texts, answers, strict=True)) / len(texts)

    metrics = {"bleu": BLEUScore(n_gram=1), "matches": Matches(), "share": share}
    found = _validated(make_task(name), metrics=metrics)
    assert found["matches"] == pytest.approx(found["share"])
    assert 0 <= found["bleu"] <= 1
    ((texts, answers),) = seen
    assert answers == [[f"{n} o'clock"] for n in range(7)]  # in the order of the rows
    assert all(isinstance(text, str) for text in texts)


def _fit(
    tiny_model: str, tweet_rows: list[dict[str, object]], folder: Path, monitor: str, mode: str
) -> pl.Trainer:
    data = TextClassificationDataModule(
        tiny_model, val_fraction=0, label_names=["no", "yes"], batch_size=8
    ).with_rows(train=tweet_rows, val=tweet_rows)
    metrics = {"kappa": MulticlassF1Score(2), "error": MeanSquaredError()}
    module = TextClassifier(tiny_model, ["no", "yes"], pretrained=False, metrics=metrics)
    best = pl.callbacks.ModelCheckpoint(folder, monitor=monitor, mode=mode)
    trainer = quiet_trainer(default_root_dir=folder, max_epochs=1, callbacks=[best])
    trainer.fit(module, data)
    return trainer


@pytest.mark.parametrize(
    ("monitor", "mode", "message"),
    [
        ("kappa", "max", "'val/kappa'"),
        ("val/kappa", "min", "better when it is higher"),
        ("val/error", "max", "better when it is lower"),
    ],
)
def test_monitor__of_an_added_metric_is_checked_before_training(
    monitor: str,
    mode: str,
    message: str,
    tiny_model: str,
    tweet_rows: list[dict[str, object]],
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=message):
        _fit(tiny_model, tweet_rows, tmp_path, monitor, mode)
    assert not list(tmp_path.glob("*.ckpt"))


KAPPA = (
    *("--model.metrics.kappa", "MulticlassCohenKappa", "--model.metrics.kappa.num_classes", "2"),
    *("--model.metrics.kappa.weights", "quadratic", "--checkpoint.monitor", "val/kappa"),
)


def _command(folder: Path, model: str, *words: str) -> Done:
    short = [
        *("--trainer.limit_train_batches", "2", "--trainer.logger=false"),
        *("--samples.num_samples", "0", "--data.batch_size", "8", "--trainer.max_epochs", "1"),
    ]
    return run_command(*fit_words(model, folder / "run", *short, *words), folder=folder)


def test_command__trains_by_an_added_metric_resumes_and_validates(
    tiny_model: str, tmp_path: Path
) -> None:
    done = _command(tmp_path, tiny_model, *KAPPA)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "run" / "results.json"
    best = json.loads(path.read_text())["fit"]["best"]
    assert best["monitor"] == "val/kappa"
    assert "nothing else says" not in done.stderr  # its class says which way it is better
    words = ["--run", str(tmp_path / "run"), "--trainer.enable_progress_bar=false"]
    checked = run_command("validate", *words, folder=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "kappa" in json.loads(path.read_text())["validate"]
    more = ["--trainer.max_epochs", "2", *KAPPA, "--model.metrics.top", "MulticlassAccuracy"]
    again = _command(tmp_path, tiny_model, *more, "--model.metrics.top.num_classes", "2")
    assert again.returncode == 0, again.stderr
    words += ["--checkpoint.monitor", "val/loss", "--print_config"]
    other = run_command("fit", *words, folder=tmp_path)
    assert "mode: min" in other.stdout
