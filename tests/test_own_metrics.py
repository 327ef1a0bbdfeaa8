"""Metrics of the user's own in all four tasks: what they receive, and the command with them."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
import yaml
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import (
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassCohenKappa,
    MulticlassF1Score,
    MultilabelF1Score,
)
from torchmetrics.regression import MeanSquaredError
from torchmetrics.text import BLEUScore
from torchmetrics.wrappers import ClasswiseWrapper, MinMaxMetric

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
from tests.commands import ROOT, Done, fit_words, run_command
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


def _of_texts(
    model: str,
    labels: Sequence[object],
    metric: Metric,
    **settings: Any,  # noqa: ANN401 - of module and data
) -> dict[str, float]:
    pl.seed_everything(0, verbose=False)
    rows: list[dict[str, object]] = [
        {"text": f"fire {number}", "label": label} for number, label in enumerate(labels)
    ]
    data = TextClassificationDataModule(model, val_fraction=0, eval_batch_size=2, **settings)
    module = TextClassifier(
        model,
        pretrained=False,
        config_overrides={"initializer_range": 0.4},
        metrics={"mine": metric},
        **settings,
    )
    (found,) = quiet_trainer().validate(module, data.with_rows(val=rows), verbose=False)
    return dict(found)


def test_metric__of_flags_receives_all_classes(tiny_model: str) -> None:
    labels: list[list[str]] = [["a"], ["a", "b"], [], ["b"], ["c", "a"]]
    settings: dict[str, Any] = {"problem_type": "multi_label", "label_names": ["a", "b", "c"]}
    found = _of_texts(tiny_model, labels, MultilabelF1Score(3), **settings)
    assert found["val/mine"] == pytest.approx(found["val/f1"], abs=1e-6)


def test_metric__of_numbers_receives_numbers(tiny_model: str) -> None:
    found = _of_texts(tiny_model, [0.5, 1.5, -2.0], MeanSquaredError(), problem_type="regression")
    assert found["val/mine"] == pytest.approx(found["val/mse"], rel=1e-5)


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


def test_metric__that_does_not_fit_is_named(make_task: Callable[[str], Task]) -> None:
    with pytest.raises(InputError, match=r"'mine' \(MulticlassF1Score\)"):
        _validated(make_task("text"), metrics={"mine": MulticlassF1Score(5)})


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
        ("val/kapa", "max", "'val/kappa'"),
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


def test_command__with_a_metric_of_other_classes_is_refused_in_words(
    tiny_model: str, tmp_path: Path
) -> None:
    wrong = ["--model.metrics.kappa", "MulticlassCohenKappa", "--model.metrics.kappa.num_classes=3"]
    done = _command(tmp_path, tiny_model, *wrong)
    assert done.returncode == 2
    assert done.stderr.count("'kappa' (MulticlassCohenKappa)") == 1
    assert "Traceback" not in done.stderr


def test_page__is_right_as_it_is_written(tiny_model: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "change_one_thing.md").read_text(encoding="utf-8")
    section = page.split("## A head")[0]
    (recipe,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (tmp_path / "own.yaml").write_text(recipe)
    done = _command(tmp_path, tiny_model, "--config", "own.yaml", "--print_config")
    assert done.returncode == 0, done.stderr
    model = yaml.safe_load(done.stdout)["model"]["init_args"]
    assert model["metrics"]["kappa"]["init_args"]["weights"] == "quadratic"
    assert model["loss"]["init_args"]["label_smoothing"] == 0.1
    names: dict[str, Any] = {
        **{"torch": torch, "TextClassifier": TextClassifier},
        "MulticlassCohenKappa": MulticlassCohenKappa,
    }
    exec(code.replace("FOLDER_OR_HUB_ID", tiny_model), names)
    names["module"].configure_model()
    assert {"kappa", "rows"} < {*names["module"].metric_names()}
