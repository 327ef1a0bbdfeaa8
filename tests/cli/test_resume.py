import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from lit_hf import GenerativeQA, InputError, TextClassificationDataModule, TextClassifier
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.cli.resume import checkpoint_for, end_of, has_ended, take, tell_rest, tell_start
from tests.damage import flip_weight
from tests.trainers import quiet_trainer


def test_checkpoint__of_a_new_run_is_none(tmp_path: Path) -> None:
    assert checkpoint_for("fit", "auto", tmp_path) is None
    assert checkpoint_for("fit", None, tmp_path) is None


def test_checkpoint__of_an_evaluation_is_given_by_name(trained: Path) -> None:
    folder = trained / "checkpoints"
    assert checkpoint_for("validate", None, folder) is None
    assert checkpoint_for("test", "auto", folder) is None  # as recipes have it, for fit


def test_checkpoint__of_a_run_is_its_newest(trained: Path) -> None:
    last = trained / "checkpoints" / "last.ckpt"
    assert checkpoint_for("fit", "auto", last.parent) == str(last)
    assert checkpoint_for("test", str(last), Path("nowhere")) == str(last)


@pytest.mark.parametrize(
    ("verb", "given", "wanted"),
    [
        ("fit", "s3://x/y.ckpt", "wanted is a path on this machine"),
        ("fit", "nowhere.ckpt", "does not exist"),
    ],
)
def test_checkpoint__that_is_none_is_refused(
    verb: str, given: str | None, wanted: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=wanted):
        checkpoint_for(verb, given, tmp_path)


def test_checkpoint__with_one_wrong_bit_is_refused_by_name_too(
    trained: Path, tmp_path: Path
) -> None:
    shutil.copy(trained / "checkpoints" / "last.ckpt", tmp_path)
    flip_weight(tmp_path / "last.ckpt")
    with pytest.raises(InputError, match="corrupt"):
        checkpoint_for("test", str(tmp_path / "last.ckpt"), tmp_path)


def test_take__gives_the_data_the_tokenizer_of_the_checkpoint(trained: Path) -> None:
    data = TextClassificationDataModule("gone")
    last = str(trained / "checkpoints" / "last.ckpt")
    module = TextClassifier("gone")
    take(last, "fit", module, data)
    assert (Path(data.model_name) / "tokenizer.json").is_file()
    with pytest.raises(InputError, match="expected a checkpoint of the task 'generative_qa'"):
        take(last, "fit", GenerativeQA("gone"), data)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda c: c["TextClassificationDataModule"]["processor"].update({"yaml.py": 1}), "yaml"),
        (lambda c: c["hyper_parameters"]["config_overrides"].update(x=torch.zeros(1)), "cannot be"),
        (lambda c: c.update(loops={"fit_loop": 3}), "changed.ckpt: what it holds"),
    ],
)
def test_take__of_a_stranger_is_one_error(
    change: Callable[[dict[str, Any]], None], wanted: str, trained: Path, tmp_path: Path
) -> None:
    content = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    change(content)
    path = str(tmp_path / "changed.ckpt")
    torch.save(content, path)
    trainer = quiet_trainer(default_root_dir=tmp_path)
    trainer.ckpt_path = path
    data = TextClassificationDataModule("gone")
    with pytest.raises(InputError, match=wanted):  # noqa: PT012 - the one after the other
        take(path, "fit", TextClassifier("gone"), data)
        end_of(trainer)


def test_take__of_weights_alone_is_for_evaluations(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    del content["loops"], content["optimizer_states"]
    content["lit_hf"]["averaged_by"] = "EMA"
    path = str(tmp_path / "weights.ckpt")
    torch.save(content, path)
    module = TextClassifier("gone")
    take(path, "test", module, TextClassificationDataModule("gone"))
    assert capsys.readouterr().out == f"the weights of {path} are averages (EMA)\n"
    with pytest.raises(InputError, match="it holds weights only; nothing to go on from"):
        take(path, "fit", module, TextClassificationDataModule("gone"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model_name", {"model_name": "another"}),
        ("pretrained", {"pretrained": True}),
        ("config_overrides", {"config_overrides": {"num_hidden_layers": 3}}),
    ],
)
def test_take__refuses_typed_settings_that_the_checkpoint_overrules(
    name: str, change: dict[str, Any], trained: Path
) -> None:
    path = str(trained / "checkpoints" / "last.ckpt")
    model = read_checkpoint(path)["hyper_parameters"]["model_name"]
    settings: dict[str, Any] = {"model_name": model, "pretrained": False, "config_overrides": {}}
    same, other = (TextClassifier(**{**settings, **more}) for more in ({}, change))
    data = TextClassificationDataModule("gone")
    typed = [f"--model.{name}", "--model.config_overrides.num_hidden_layers", "--model.pretrained"]
    take(path, "test", same, data, typed)
    take(path, "test", other, data, ["--model.head"])  # of a recipe
    take(path, "fit", other, data, typed)  # which compares all settings, if no change is allowed
    with pytest.raises(InputError, match=f"`model.{name}` is .*Leave it out"):
        take(path, "test", other, data, typed)


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
    told = f"to go on raise `trainer.max_epochs` ({max_epochs}) above 2."
    assert (told in end_of(trainer)) is raised
    assert bool(end_of(trainer)) is raised


def test_end__of_another_training_is_refused_before_it_is_told(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Same:
        compared = 0

        def compare(self, *_: object) -> None:
            self.compared += 1

    trainer = quiet_trainer(default_root_dir=trained, max_epochs=2)
    same, others = Same(), (cast("Any", object()), cast("Any", object()))
    assert not has_ended(trainer, *others, cast("Any", same))
    assert (same.compared, capsys.readouterr().out) == (0, "")
    trainer.ckpt_path = str(trained / "checkpoints" / "last.ckpt")
    assert has_ended(trainer, *others, cast("Any", same))
    assert same.compared == 1
    assert capsys.readouterr().out.startswith("already finished: ")


def test_start__says_where_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    tell_start(None, Path("run"))
    tell_start("run/last.ckpt", Path("run"))
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["no checkpoint in run: a new training begins", "going on from run/last.ckpt"]


def test_rest__says_what_the_same_command_will_do(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_rest(trained / "checkpoints")
    tell_rest(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("stopped; the same command goes on from")
    assert lines[1] == "stopped before the first checkpoint: the same command starts anew."
