"""The script that tries the lowest and the newest releases: its parts, without a network."""

import json
import re
import sys
import tomllib
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import lightning
import pytest

from benchmarks.record import RESULTS
from benchmarks.versions import __main__ as script
from benchmarks.versions import packages, verbs
from benchmarks.versions.packages import StepError, Wanted, installed, resolve, run_step
from benchmarks.versions.tasks import (
    MARK,
    ROWS,
    TASKS,
    VERBS,
    Outcome,
    commands_of,
    deprecations,
    outcome_of,
    run_task,
)


@pytest.fixture
def uv_words(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have run, with a uv that resolves to two packages."""
    ran: list[list[str]] = []

    def run(words: Sequence[str], **_: str) -> str:
        override = [Path(a).read_text() for f, a in pairwise(words) if "-ov" in f]
        ran.append([*words, *override])
        return "numpy==2.0.0\nrich==13.7.0\n"

    monkeypatch.setattr(packages, "find_uv", lambda: "uv")
    monkeypatch.setattr(packages, "run_step", run)
    return ran


def test_resolve__asks_uv_for_each_kind_of_releases(uv_words: list[list[str]]) -> None:
    assert resolve(Wanted("lowest", "3.11")) == ["numpy==2.0.0", "rich==13.7.0"]
    resolve(Wanted("newest", "3.13", extras=["mlflow", "dev"]))
    resolve(Wanted("tested", "3.11"))
    lowest, newest, tested = (" ".join(words) for words in uv_words)
    assert "--resolution lowest-direct" in lowest
    assert "--python-version 3.11" in lowest
    assert "--override" not in lowest
    assert "--resolution highest" in newest
    assert "--python-version 3.13 --extra mlflow --extra dev" in newest
    assert "constraints.txt" in tested


def test_resolve__leaves_a_torch_of_pip_out(uv_words: list[list[str]]) -> None:
    resolve(Wanted("newest", "3.11", torch="2.13.0"))
    assert uv_words[0][-1].startswith("torch ; sys_platform ==")


def test_python_version__of_an_interpreter() -> None:
    assert packages.python_version(sys.executable).startswith(f"3.{sys.version_info.minor}.")


def test_installed__are_those_of_the_interpreter() -> None:
    assert {"torch", "lightning", "huggingface-hub"} <= installed(Path(sys.executable)).keys()


def test_step__that_fails_tells_what_it_said() -> None:
    with pytest.raises(StepError, match="no such package"):
        run_step([sys.executable, "-c", "import sys; sys.exit('no such package')"])


def test_tasks__have_all_verbs_and_a_row(tmp_path: Path) -> None:
    assert TASKS.keys() == ROWS.keys()
    for task in TASKS:
        commands = commands_of(task, tmp_path, ["wandb"])
        assert [*commands] == [*VERBS]
        assert "WandbLogger" in " ".join(commands["fit"])
    assert MARK == verbs.MARK


def test_outcome__of_a_task_that_fails_midway() -> None:
    said = f"epoch 1\n{MARK} fit 2.5\nloading\nValueError: no\n"
    outcome = outcome_of(said)
    assert outcome == Outcome({"fit": 2.5}, "loading\nValueError: no")
    assert not outcome.is_done
    done = outcome_of("".join(f"{MARK} {verb} 1.0\n" for verb in VERBS) + "bye\n")
    assert done.is_done
    assert done.said == ""


def test_verbs__stop_at_the_first_that_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lit_hf.cli.command.main", lambda words: 2 if words[0] == "validate" else 0)
    assert verbs.run_verbs({"fit": ["a"], "validate": [], "predict": []}) == 2
    assert re.findall(rf"{MARK} (\w+)", capsys.readouterr().out) == ["fit"]


def test_deprecations__of_lightning_and_jsonargparse_are_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lightning leaves the category out, jsonargparse begins its words on the next line."""
    file = str(Path(lightning.__file__).parent / "pytorch" / "cli.py")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", verbs.write_warning)
        warnings.warn_explicit("\n    ``add`` was\n    old.\n", DeprecationWarning, file, 612)
        warnings.warn_explicit("\nno matter", UserWarning, file, 613)
    (told,) = deprecations(capsys.readouterr().err)
    assert told == "lightning/pytorch/cli.py:612: DeprecationWarning: ``add`` was old."


def test_run_task__tells_of_a_python_without_lit_hf(tmp_path: Path) -> None:
    (python := tmp_path / "python").write_text("#!/bin/sh\necho No module named lit_hf; exit 1\n")
    python.chmod(0o755)
    outcome = run_task("extractive_qa", tmp_path, python, [])
    assert outcome == Outcome({}, "No module named lit_hf")


def test_main__writes_a_set_that_cannot_be_resolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Wanted) -> list[str]:
        raise StepError("uv pip compile\nno solution found")

    monkeypatch.setattr(script, "resolve", fail)
    out = tmp_path / "made" / "lowest.json"
    assert script.main(["--resolution", "lowest", "--python", "3.11", "--out", str(out)]) == 1
    found = json.loads(out.read_text())
    assert "no solution" in found["failed"]
    assert not found["is_done"]


def test_main__writes_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = dict.fromkeys(TASKS, Outcome(dict.fromkeys(VERBS, 1.5), "", ("x: old",)))
    monkeypatch.setattr(script, "resolve", lambda _: ["numpy==2.0.0"])
    monkeypatch.setattr(script, "install", lambda *_: Path(sys.executable))
    monkeypatch.setattr(script, "make_inputs", lambda *_: "a processor")
    monkeypatch.setattr(script, "run_task", lambda task, *_: outcomes[task])
    out = tmp_path / "newest.json"
    assert script.main(["--resolution", "newest", "--torch", "2.13.0", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["is_done"]
    assert found["torch_by_pip"] == "2.13.0"
    assert found["machine"] == "a processor"
    assert found["deprecations"] == ["x: old"]
    assert found["tasks"]["generative_qa"]["seconds"]["export"] == 1.5
    assert "torch" in found["versions"]


def test_result_path__names_what_was_tried() -> None:
    path = script.result_path(Wanted("tested", "3.12.1", extras=["wandb", "mlflow"]))
    assert path.name == "versions_tested_py312_mlflow_wandb.json"


def test_committed_results__are_of_the_bounds_of_today() -> None:
    """Whoever lowers a bound tries it again."""
    pyproject = tomllib.loads((packages.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    bounds = {
        re.split(r"[\[>]", line)[0]: [int(part) for part in line.split(">=")[1].split(".")]
        for line in pyproject["project"]["dependencies"]
        if not line.startswith("torch>")  # that of pip
    }
    found = json.loads((RESULTS / "versions_lowest_py311.json").read_text(encoding="utf-8"))
    assert found["is_done"]
    for name, bound in bounds.items():
        tried = [int(part) for part in re.findall(r"\d+", found["versions"][name])]
        assert tried[: len(bound)] == bound, name
