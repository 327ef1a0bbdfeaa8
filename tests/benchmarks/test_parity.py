"""The comparison of two commits: what differs is found, in every kind of file."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.parity.__main__ import forget_others, is_run, report
from benchmarks.parity.cases import Case, all_cases
from benchmarks.parity.compare import ABSENT, Difference, compare_folders
from benchmarks.parity.inputs import write_inputs
from tests.commands import ROOT


def _write(folder: Path, score: float, weight: float) -> None:
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps({"val": {"f1": score}, "root": str(folder)}))
    (folder / "metrics.csv").write_text(f"step,train/loss\n1,{score}\n")
    (folder / "samples.jsonl").write_text('{"step": 1, "answer": "no"}\n')
    (folder / "config.yaml").write_text(f"model:\n  lr: {score}\n")
    save_file({"w": torch.full((3,), weight)}, folder / "model.safetensors")
    torch.save({"state_dict": {"w": torch.full((3,), weight)}}, folder / "last.ckpt")
    (folder / "printed.log").write_text(folder.name)


def test_compare__equal_runs_in_two_folders_are_equal(tmp_path: Path) -> None:
    for name in ("before", "after"):
        _write(tmp_path / name, 0.5, 1.0)
    assert list(compare_folders(tmp_path / "before", tmp_path / "after")) == []


def test_compare__finds_numbers_weights_and_files(tmp_path: Path) -> None:
    _write(tmp_path / "before", 0.5, 1.0)
    _write(tmp_path / "after", 0.50001, 1.00001)
    (tmp_path / "after" / "samples.jsonl").unlink()
    (tmp_path / "after" / "new.txt").touch()
    found = {one.place: one for one in compare_folders(tmp_path / "before", tmp_path / "after")}
    assert sorted(found) == [
        "config.yaml:.model.lr",
        "last.ckpt:.w",
        "metrics.csv:.0.train/loss",
        "model.safetensors:.w",
        "new.txt",
        "results.json:.val.f1",
        "samples.jsonl",
    ]
    assert str(found["results.json:.val.f1"]) == "results.json:.val.f1: 0.5 -> 0.50001"
    assert found["new.txt"].before is None


def test_compare__an_option_that_is_gone_is_none_that_is_null(tmp_path: Path) -> None:
    for name, options in (("before", "loss: null\nwords: []\n"), ("after", "rows: {}\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"seed: null\n{options}")
    found = {one.place: one for one in compare_folders(tmp_path / "before", tmp_path / "after")}
    assert {place: one[1:] for place, one in found.items()} == {
        "config.yaml:.loss": (None, ABSENT),
        "config.yaml:.words": ([], ABSENT),
        "config.yaml:.rows": (ABSENT, {}),
    }


def test_compare__numbers_of_metrics_stand_under_their_names(tmp_path: Path) -> None:
    for name, loss in (("before", "0.5"), ("after", "0.6")):
        (tmp_path / name).mkdir()
        rows = f"step,epoch,name,value\n2,0,val/f1,0.25\n2,0,val/loss,{loss}\n"
        (tmp_path / name / "metrics.csv").write_text(rows)
    found = list(compare_folders(tmp_path / "before", tmp_path / "after"))
    assert found == [Difference("metrics.csv:.1.val/loss", 0.5, 0.6)]


def test_kept__whole_runs_of_the_same_commit_are_taken(tmp_path: Path) -> None:
    before, case = tmp_path / "before", Case("help", [["--help"]])
    forget_others(before, "abc")
    assert not is_run(before / "help", case)
    (before / "help").mkdir()
    (before / "help" / "commands.json").write_text('[["--help"]]')
    assert not is_run(before / "help", case)  # ended in the midst of it
    (before / "help" / "commands.json").write_text('[[["--help"]], [0]]')
    forget_others(before, "abc")
    assert is_run(before / "help", case)
    assert not is_run(before / "help", Case("help", [["recipes"]]))
    forget_others(before, "def")
    assert not is_run(before / "help", case)


def test_report__counts_what_is_on_purpose_and_fails_for_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        Difference("demo/results.json:.val.f1", 0.5, 0.6),
        Difference("demo/x", None, "a file"),
    ]
    path = tmp_path / "on_purpose.yaml"
    path.write_text("'*.val.f1': the loss of the last step is another\n")
    assert report(found, 1, path) == 1
    assert "demo/x: None -> 'a file'" in capsys.readouterr().out
    assert report(found[:1], 1, path) == 0
    assert "1 cases: 0 differences, 1 on purpose" in capsys.readouterr().out


def test_cases__take_in_every_recipe_and_their_inputs_are_there(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    cases = all_cases(tmp_path)
    recipes = (ROOT / "configs").rglob("*.yaml")
    names = {
        f"{path.parent.name}/{path.stem}" for path in recipes if path.parent.name != "overlays"
    }
    assert names <= {case.name for case in cases}
    words = [word for case in cases for command in case.commands for word in command]
    for word in words:
        assert not word.startswith(str(tmp_path)) or Path(word).exists()
