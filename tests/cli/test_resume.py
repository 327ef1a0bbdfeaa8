import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from lit_hf import GenerativeQA, InputError, TextClassificationDataModule, TextClassifier
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.cli.resume import checkpoint_for, end_of, has_ended, print_start, print_stop, take
from tests.commands import TWEETS, run_command
from tests.damage import flip_weight
from tests.trainers import quiet_trainer


def test_checkpoint__of_each_verb(trained: Path, tmp_path: Path) -> None:
    last = trained / "checkpoints" / "last.ckpt"
    assert checkpoint_for("fit", "auto", tmp_path) is None
    assert checkpoint_for("fit", "auto", last.parent) == str(last)
    assert checkpoint_for("test", "auto", last.parent) is None  # as recipes have it, for fit
    assert checkpoint_for("validate", None, last.parent) is None
    assert checkpoint_for("test", str(last), Path("nowhere")) == str(last)
    shutil.copy(last, tmp_path)
    flip_weight(tmp_path / "last.ckpt")
    for given, message in (
        ("s3://x/y.ckpt", "expected a path on this machine"),
        ("nowhere.ckpt", "does not exist"),
        (str(tmp_path / "last.ckpt"), "corrupt"),
    ):
        with pytest.raises(InputError, match=message):
            checkpoint_for("test", given, tmp_path)


@pytest.mark.parametrize("verb", ["validate", "predict"])
def test_evaluation__of_a_model_without_training_is_refused(
    verb: str, tiny_model: str, tmp_path: Path
) -> None:
    words = ["--config", "text_classification/demo", "--model.model_name", tiny_model]
    done = run_command(
        verb, *words, "--data.train_file", str(TWEETS / "train.csv"), folder=tmp_path
    )
    assert done.returncode == 2
    assert "give the folder of a run with `--run DIR`" in done.stderr


def test_take__gives_the_data_the_tokenizer_of_the_checkpoint(trained: Path) -> None:
    data = TextClassificationDataModule("gone")
    last = str(trained / "checkpoints" / "last.ckpt")
    take(last, "fit", TextClassifier("gone"), data)
    assert (Path(data.model_name) / "tokenizer.json").is_file()
    with pytest.raises(InputError, match="the task 'generative_qa'"):
        take(last, "fit", GenerativeQA("gone"), data)


def test_take__of_weights_alone_is_for_evaluations(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    del content["loops"], content["optimizer_states"]
    content["lit_hf"]["averaged_by"] = "EMA"
    path = str(tmp_path / "weights.ckpt")
    torch.save(content, path)
    module, data = TextClassifier("gone"), TextClassificationDataModule("gone")
    take(path, "test", module, data)
    assert capsys.readouterr().out == f"the weights of {path} are averages (EMA)\n"
    with pytest.raises(InputError, match="it holds weights only"):
        take(path, "fit", module, data)


def test_take__refuses_a_typed_model_that_the_checkpoint_overrules(trained: Path) -> None:
    path = str(trained / "checkpoints" / "last.ckpt")
    model = read_checkpoint(path)["hyper_parameters"]["model_name"]
    data = TextClassificationDataModule("gone")
    take(path, "test", TextClassifier(model), data, ["--model.model_name"])
    take(path, "test", TextClassifier("another"), data, ["--model.head"])  # of a recipe
    with pytest.raises(InputError, match=r"`model.model_name` is 'another'.*leave it out"):
        take(path, "test", TextClassifier("another"), data, ["--model.model_name"])


@pytest.mark.parametrize(
    ("max_epochs", "has_results", "raised"),
    [(2, True, True), (1, True, True), (3, True, False), (2, False, False), (1, False, True)],
)
def test_end__is_where_its_results_are_written_or_more_than_is_asked_for(
    max_epochs: int, has_results: bool, raised: bool, trained: Path, tmp_path: Path
) -> None:
    folder = trained if has_results else tmp_path
    trainer = quiet_trainer(default_root_dir=folder, max_epochs=max_epochs)
    assert not end_of(trainer)
    trainer.ckpt_path = str(trained / "checkpoints" / "last.ckpt")
    message = f"raise `trainer.max_epochs` ({max_epochs}) above 2."
    assert (message in end_of(trainer)) is bool(end_of(trainer)) is raised


def test_end__of_another_training_is_refused_before_it_is_said(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Guard:
        num_compared = 0

        def compare(self, *_: object) -> None:
            self.num_compared += 1

    trainer = quiet_trainer(default_root_dir=trained, max_epochs=2)
    trainer.ckpt_path = str(trained / "checkpoints" / "last.ckpt")
    guard, other = Guard(), cast("Any", object())
    assert has_ended(trainer, other, other, cast("Any", guard))
    assert guard.num_compared == 1
    assert capsys.readouterr().out.startswith("already finished: ")


def test_start_and_stop__say_what_the_same_command_will_do(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_start(None, Path("run"))
    print_start("run/last.ckpt", Path("run"))
    print_stop(tmp_path)
    print_stop(trained / "checkpoints")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "no checkpoint in run: a new training begins",
        "resuming from run/last.ckpt",
    ]
    assert lines[2].startswith("stopped before the first checkpoint")
    assert lines[3].startswith("stopped; the same command resumes from")
