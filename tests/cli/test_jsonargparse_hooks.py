import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from tests.commands import output_of, run_command

RECIPE = ["--config", "text_classification/demo", "--model.model_name=x"]
IMAGES = ["--model=ImageClassifier", "--data=CIFAR10DataModule", "--model.model_name=x"]


def _model(*words: str) -> dict[str, Any]:
    found = yaml.safe_load(output_of("fit", *words, "--print_config"))
    return cast("dict[str, Any]", found["model"]["init_args"])


@pytest.mark.parametrize(
    "words",
    [
        [*IMAGES, "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.25"],
        [*RECIPE, "--model.optimizer.lr=0.25", "--model.optimizer.class_path=torch.optim.SGD"],
        [*RECIPE, "--model.optimizer={class_path: SGD, init_args: {lr: 0.25}}"],
        [*RECIPE, "--config", "{model: {optimizer: {class_path: SGD, init_args: {lr: 0.25}}}}"],
    ],
)
def test_optimizer__of_another_class_has_the_defaults_of_that_class(words: list[str]) -> None:
    optimizer = _model(*words)["optimizer"]
    settings = optimizer["init_args"]
    assert optimizer["class_path"] == "torch.optim.SGD"
    assert (settings["lr"], settings["momentum"], settings["weight_decay"]) == (0.25, 0.0, 0.0)


def test_optimizer__of_the_same_class_keeps_what_is_not_given() -> None:
    settings = _model(*IMAGES, "--model.optimizer=AdamW", "--model.optimizer.lr=0.25")["optimizer"]
    assert (settings["init_args"]["lr"], settings["init_args"]["weight_decay"]) == (0.25, 0.05)


@pytest.mark.parametrize(
    ("name", "words", "path", "settings"),
    [
        (
            "loss",
            ["--model.loss", "CrossEntropyLoss", "--model.loss.label_smoothing", "0.1"],
            "torch.nn.CrossEntropyLoss",
            {"label_smoothing": 0.1},
        ),
        (
            "loss",
            ["--model.loss={class_path: CrossEntropyLoss, init_args: {label_smoothing: 0.1}}"],
            "torch.nn.CrossEntropyLoss",
            {"label_smoothing": 0.1},
        ),
        (
            "metrics",
            ["--model.metrics={kappa: {class_path: CohenKappa, init_args: {task: binary}}}"],
            "torchmetrics.CohenKappa",
            {"task": "binary"},
        ),
        (
            "metrics",
            ["--model.metrics.kappa", "CohenKappa", "--model.metrics.kappa.task", "binary"],
            "torchmetrics.CohenKappa",
            {"task": "binary"},
        ),
    ],
)
def test_loss_and_metric__are_named_without_their_modules(
    name: str, words: list[str], path: str, settings: dict[str, object]
) -> None:
    found = _model(*RECIPE, *words)[name]
    found = found.get("kappa", found)
    assert found["class_path"].rpartition(".")[2] == path.rpartition(".")[2]
    assert found["init_args"].items() >= settings.items()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, the current one, with a module of a loss and a function."""
    (tmp_path / "my_parts.py").write_text(
        "import torch\n\n\nclass Focal(torch.nn.Module):\n"
        "    def __init__(self, gamma: float = 2.0, name: str = 'x') -> None:\n"
        "        super().__init__()\n\n\ndef agreement(predictions, labels):\n    return 1.0\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # `--import` puts the folder there
    yield tmp_path
    sys.modules.pop("my_parts", None)


def test_parts__of_a_file_of_ones_own(own: Path) -> None:
    words = [*RECIPE, "--model.loss", "Focal", "--model.loss.gamma=1", "--model.loss.name", "01 #"]
    words += ["--model.metrics.own", "my_parts.agreement"]
    refused = run_command("fit", *words, folder=own)
    assert refused.returncode == 2
    assert "'Focal' is not known" in refused.stderr
    model = _model(*words, "--import", "my_parts")
    assert model["loss"]["class_path"] == "my_parts.Focal"
    assert model["loss"]["init_args"] == {"gamma": 1.0, "name": "01 #"}
    assert model["metrics"] == {"own": "my_parts.agreement"}


def test_template__of_one_column_is_a_text() -> None:
    config = yaml.safe_load(
        output_of("fit", *RECIPE, "--data.text_template", "{text}", "--print_config")
    )
    assert config["data"]["init_args"]["text_template"] == "{text}"


def test_help__lists_no_hundreds_of_classes() -> None:
    words = output_of("fit", "--model.help", "TextClassifier")
    assert "--model.loss" in words
    assert "torch.optim.SGD" in words  # of these there are few
    assert len(words.splitlines()) < 120
