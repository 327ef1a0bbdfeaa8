import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port

from lit_hf.callbacks.same_start import _told_checkpoint, _write, difference

ALIKE = {
    "refused": "",
    "host": "a",
    "folder": "/a/run",
    "seen": "True",
    "checkpoint": "last.ckpt of step 12",
    "versions": "lit_hf 0.1.0",
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""),
        ({"seen": "False"}, "process 1 on b does not find in /b/run what process 0 on a has"),
        ({"checkpoint": "no checkpoint"}, "process 1 on b has no checkpoint (run folder /b/run)"),
        ({"versions": "lit_hf 0.2.0"}, "process 1 on b has lit_hf 0.2.0"),
        ({"refused": "x.csv: there is no such file."}, "process 1 on b: x.csv: there is no such"),
    ],
)
def test_difference__names_processes_and_hosts(change: dict[str, str], told: str) -> None:
    other = {**ALIKE, "host": "b", "folder": "/b/run", **change}
    found = difference([ALIKE, other, {**ALIKE, "host": "c"}])
    assert told in found
    assert bool(found) == bool(told)


def test_difference__of_what_all_refuse_is_told_once() -> None:
    reason = {**ALIKE, "refused": "nothing can be written here"}
    assert difference([reason, {**reason, "host": "b"}]) == "nothing can be written here"


def test_checkpoint__is_told_by_what_does_not_change_with_its_place(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "global_step": 12}, tmp_path / "last.ckpt")
    assert _told_checkpoint(None) == "no checkpoint"
    assert _told_checkpoint(str(tmp_path / "last.ckpt")) == "last.ckpt of step 12"
    assert _told_checkpoint(str(tmp_path / "gone.ckpt")).startswith("no checkpoint that can be")


def test_folder__that_the_first_process_cannot_write_is_a_reason(tmp_path: Path) -> None:
    assert not _write(tmp_path / "mark")
    assert "mark/mark: cannot be written" in _write(tmp_path / "mark" / "mark")


SCRIPT = """
import contextlib, io, json, os, shutil, sys
from pathlib import Path

import torch

from lit_hf.cli.command import main

torch.set_num_threads(1)
model, shared, node = sys.argv[1], sys.argv[2], int(os.environ["NODE_RANK"])
told = {}


def table(name, text, first="yes"):
    labels = [first, *["no", "yes"] * 4]
    rows = [f"{text} in town {n},{label}" for n, label in enumerate(labels)]
    Path(name).write_text("\\n".join(["text,label", *rows, ""]))


def run(case, verb, root, *words):
    os.environ.update(WORLD_SIZE="2", NODE_RANK=str(node), LOCAL_RANK="0")
    options = [
        *("--model", "TextClassifier", "--model.model_name", model),
        *("--data", "TextClassificationDataModule", "--data.train_file", "same.csv"),
        *("--data.val_fraction", "0", "--data.batch_size", "2", "--data.label_names", "[no, yes]"),
        *("--data.val_file", "val.csv", "--data.test_file", "val.csv"),
        *("--data.predict_file", "val.csv", "--samples.num_samples", "0"),
        *("--trainer.max_epochs", "1", "--trainer.logger", "false", "--export.folder_name", "null"),
        *("--trainer.accelerator", "cpu", "--trainer.strategy", "ddp", "--trainer.devices", "1"),
        *("--trainer.num_nodes", "2", "--trainer.default_root_dir", root, *words),
    ]
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        code = main([verb, *options])
    lines = [line for line in errors.getvalue().splitlines() if line.startswith("lit-hf: error")]
    told[case] = [code, *lines]


if __name__ == "__main__":
    table("same.csv", "fire")
    table("val.csv", "flood")
    table("other.csv", "fire", ["yes", "no"][node])
    if node == 0:
        table("first.csv", "fire")
    run("first start", "fit", "run")
    run("other rows", "fit", shared, "--data.train_file", "other.csv")
    run("no rows", "fit", shared, "--data.train_file", "first.csv")
    run("shared", "fit", shared)
    if node == 0:
        shutil.copytree(shared, "run", dirs_exist_ok=True)
    run("second start", "fit", "run", "--trainer.max_epochs", "2")
    if node == 1:
        shutil.copytree(shared, "run", dirs_exist_ok=True)
    last = ("--ckpt_path", "run/checkpoints/last.ckpt")
    for verb in ("validate", "test", "predict"):
        run(verb, verb, "run", *last)
    run("shared predict", "predict", shared, *last)
    Path("told.json").write_text(json.dumps(told))
"""


def test_nodes__begin_alike_or_not_at_all(tiny_model: str, tmp_path: Path) -> None:
    """Two machines are two processes in folders of their own."""
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    words = [sys.executable, str(tmp_path / "script.py"), tiny_model, str(tmp_path / "shared")]
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port())}
    nodes = []
    for node in ("0", "1"):
        (tmp_path / node).mkdir()
        env = {**os.environ, **address, "WORLD_SIZE": "2", "NODE_RANK": node}
        nodes.append(
            subprocess.Popen(
                words,
                env=env,
                cwd=tmp_path / node,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
    try:
        for process in nodes:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors[-3000:]
    finally:
        for process in nodes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    first, second = (json.loads((tmp_path / node / "told.json").read_text()) for node in "01")
    assert first == second  # all processes end with the same code and words
    assert first["shared"] == first["shared predict"] == [0]
    for case, part in {
        "first start": "do not share a run folder: process 1 on",
        "other rows": "do not have the same rows (train)",
        "no rows": "first.csv: there is no such file",
        "second start": "has no checkpoint (run folder",
        "validate": "do not share a run folder: process 1 on",
        "test": "do not share a run folder: process 1 on",
        "predict": "do not share a run folder: process 1 on",
    }.items():
        code, *lines = first[case]
        assert (code, len(lines)) == (2, 1), case
        assert part in lines[0], case
    assert not list(tmp_path.rglob(".start-*"))
