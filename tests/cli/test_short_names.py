import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from tests.commands import output_of, run_command

BARE = ["--model=TextClassifier", "--data=TweetDataModule", "--model.model_name=x"]
IMAGES = ["--model=ImageClassifier", "--data=CIFAR10DataModule", "--model.model_name=x"]
RECIPE = ["--config", "text_classification/demo"]


def _optimizer(*words: str) -> tuple[str, dict[str, object]]:
    config = yaml.safe_load(output_of("fit", *words, "--print_config"))
    found = config["model"]["init_args"]["optimizer"]
    return found["class_path"].rpartition(".")[-1], found["init_args"]


@pytest.mark.parametrize("given", [BARE, IMAGES, RECIPE])
@pytest.mark.parametrize(
    "words",
    [
        ["--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.25"],
        ["--model.optimizer.lr=0.25", "--model.optimizer.class_path=torch.optim.SGD"],
        ["--model.optimizer={class_path: SGD, init_args: {lr: 0.25}}"],
    ],
)
def test_optimizer__of_another_class_has_the_defaults_of_that_class(
    given: list[str], words: list[str]
) -> None:
    kind, settings = _optimizer(*given, *words)
    assert (kind, settings["lr"], settings["momentum"]) == ("SGD", 0.25, 0.0)
    assert (settings["weight_decay"], settings["fused"]) == (0.0, None)


def test_optimizer__of_another_class_in_a_file_over_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "adam.yaml"
    optimizer = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.25}}
    path.write_text(yaml.safe_dump({"model": {"init_args": {"optimizer": optimizer}}}))
    words = ["--config", str(path), "--model.optimizer.eps", "0.5", "--model.warmup_ratio", "0.2"]
    kind, settings = _optimizer(*RECIPE, *words)
    assert (kind, settings["weight_decay"], settings["fused"]) == ("Adam", 0.0, None)
    assert (settings["lr"], settings["eps"]) == (0.25, 0.5)


@pytest.mark.parametrize("words", [[], ["--model.optimizer=AdamW"]])
def test_optimizer__of_the_same_class_keeps_what_is_not_given(words: list[str]) -> None:
    kind, settings = _optimizer(*IMAGES, *words, "--model.optimizer.lr", "0.25")
    assert (kind, settings["lr"]) == ("AdamW", 0.25)
    assert (settings["weight_decay"], settings["fused"]) == (0.05, True)


def test_head__of_another_class_has_the_defaults_of_that_class(tmp_path: Path) -> None:
    path = tmp_path / "head.yaml"
    head = {"class_path": "MeanHead", "init_args": {"dropout": 0.5}}
    path.write_text(yaml.safe_dump({"model": {"init_args": {"head": head}}}))
    words = [*BARE, "--config", str(path)]
    for more, dropout in (["--model.head=ClsHead"], 0.1), (["--model.head=MeanHead"], 0.5):
        shown = yaml.safe_load(output_of("fit", *words, *more, "--print_config"))
        assert shown["model"]["init_args"]["head"]["init_args"]["dropout"] == dropout


OWN = """\
import torch


class Focal(torch.nn.Module):
    def __init__(self, gamma: float = 2.0, name: str = "x") -> None:
        super().__init__()
        self.gamma, self.name = gamma, name

    def forward(self, input, target):
        losses = torch.nn.functional.cross_entropy(input, target, reduction="none")
        return (1 - (-losses).exp()) ** self.gamma * losses


def squared(input, target):
    return (input - target) ** 2


def agreement(predictions, labels):
    return float((predictions == labels).mean())
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, the current one, with a module of a loss and functions."""
    (tmp_path / "my_parts.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # `--import` puts the folder there
    yield tmp_path
    sys.modules.pop("my_parts", None)


def _model(*words: str) -> dict[str, Any]:
    found = yaml.safe_load(
        output_of("fit", *RECIPE, "--model.model_name=x", *words, "--print_config")
    )
    return cast("dict[str, Any]", found["model"]["init_args"])


@pytest.mark.parametrize(
    "words",
    [
        ["--model.loss", "torch.nn.CrossEntropyLoss", "--model.loss.label_smoothing", "0.1"],
        ["--model.loss", "CrossEntropyLoss", "--model.loss.label_smoothing", "0.1"],
        ["--model.loss={class_path: CrossEntropyLoss, init_args: {label_smoothing: 0.1}}"],
    ],
)
def test_loss__is_named_with_or_without_its_module(words: list[str]) -> None:
    loss = _model(*words)["loss"]
    assert loss["class_path"] == "torch.nn.CrossEntropyLoss"
    assert loss["init_args"]["label_smoothing"] == 0.1


@pytest.mark.parametrize(
    "words",
    [
        [
            "--model.metrics={kappa: {class_path: MulticlassCohenKappa, "
            "init_args: {num_classes: 2, weights: quadratic}}}"
        ],
        [
            *("--model.metrics.kappa", "torchmetrics.classification.MulticlassCohenKappa"),
            *("--model.metrics.kappa.num_classes", "2"),
            *("--model.metrics.kappa.weights", "quadratic"),
        ],
    ],
)
def test_metric__is_named_with_or_without_its_module(words: list[str]) -> None:
    kappa = _model(*words)["metrics"]["kappa"]
    assert kappa["class_path"] == "torchmetrics.classification.MulticlassCohenKappa"
    assert (kappa["init_args"]["num_classes"], kappa["init_args"]["weights"]) == (2, "quadratic")


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("name", ["my_parts.Focal", "Focal"])
def test_loss__of_a_file_of_ones_own_gets_its_texts_as_typed(name: str) -> None:
    words = ["--model.loss", name, "--model.loss.gamma=1", "--model.loss.name", "01 #no"]
    loss = _model("--import", "my_parts", *words)["loss"]
    assert loss == {"class_path": "my_parts.Focal", "init_args": {"gamma": 1.0, "name": "01 #no"}}
    found = _model(
        "--import", "my_parts", "--model.metrics.own", name.replace("Focal", "agreement")
    )
    assert found["metrics"] == {"own": "my_parts.agreement"}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--model.loss=HuberLoss", "--model.loss.dleta=1"], ["model.loss", "'dleta'", "'delta'"]),
        (
            ["--model.metrics.kappa=MulticlassCohenKappa", "--model.metrics.kappa.num_clases=2"],
            ["model.metrics", "'num_clases'", "'num_classes'"],
        ),
        (
            ["--model.loss=CrossEntropyLoss", "--model.loss.weight=[1, 3]"],
            ["model: loss.weight: a tensor cannot be typed"],
        ),
        (
            ["--model.loss=CrossEntropyLos"],
            ["model.loss", "'CrossEntropyLos' is not known. Did you mean 'CrossEntropyLoss'?"],
        ),
        (["--model.metrics.mae=MeanAbsolutError"], ["Did you mean 'MeanAbsoluteError'?"]),
        (["--model.optimizer=RAdm"], ["Did you mean 'RAdam'?"]),
        (["--model.loss=my_others.Focal"], ["not allowed", "--import"]),
        (
            [
                "--model.loss={class_path: lightning.pytorch.strategies.launchers."
                "subprocess_script.subprocess.Popen, init_args: {args: [touch, made]}}"
            ],
            ["'subprocess.Popen' is not allowed"],
        ),
        (
            ["--model.metrics.own=torchmetrics.utilities.imports.shutil.rmtree"],
            ["'shutil.rmtree' is not allowed"],
        ),
    ],
)
def test_slip__in_a_loss_or_metric_is_named(words: list[str], parts: list[str], own: Path) -> None:
    done = run_command("fit", *RECIPE, "--model.model_name=x", *words, folder=own)
    assert done.returncode == 2
    assert [part for part in parts if part not in done.stderr] == []
    assert not (own / "made").exists()


def test_help__lists_no_hundreds_of_classes() -> None:
    words = output_of("fit", "--model.help", "TextClassifier")
    assert "--model.loss" in words
    assert "--model.metrics" in words
    assert "torch.optim.SGD" in words  # of these there are few
    assert len(words.splitlines()) < 120
