from pathlib import Path

import pytest
import yaml

from tests.commands import output_of

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
