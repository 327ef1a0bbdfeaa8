"""A training is killed in mid-epoch and the same command run again: are the weights the same?"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.sigkill import STARTS, VARIABLE
from benchmarks.gpu.speed import written
from benchmarks.speed.contestants import words_of
from benchmarks.speed.setting import Setting
from benchmarks.speed.work import ROOT, Work

NUM_STEPS, CHECKPOINT, KILLED = 12, 5, 8
"""Steps of an epoch, of a checkpoint within it, and behind which the kill comes."""
TOLERANCE = 10  # times the difference of two runs that nothing has disturbed
LAST = 2000  # characters of what a run has printed that tell why it failed
Weights = dict[str, Tensor]


def kill_and_resume(
    work: Work,
    setting: Setting,
    model: str,
    home: Path,
    variables: Mapping[str, str],
    seconds: float,
    left: float,
) -> dict[str, Any]:
    """Train for two epochs, undisturbed and killed, and compare the weights.

    Where they differ, an undisturbed training is run once more: on a GPU some sums may be taken in
    another order each time.

    Args:
        work: what is trained on.
        setting: where and how.
        model: its folder.
        home: a folder that is empty.
        variables: of the environment.
        seconds: in which it should be done; it takes what it takes.
        left: seconds after which everything is ended.

    Returns:
        `steps` of the training, the step it was `killed_after` and the one it `resumed_from`, the
        `largest_difference` of the final weights, and, where it is not 0, that of two undisturbed
        trainings as `undisturbed_difference`.

    Raises:
        RuntimeError: a training failed, or the weights differ by more than chance explains.
    """
    deadline = time.monotonic() + left
    num_train, num_val = NUM_STEPS * work.batch_size, work.eval_batch_size
    most = max(work.num_train + work.num_val, num_train + num_val)
    small = replace(work, num_train=num_train, num_val=num_val)
    given = words_of(small, written(small, home / "rows", most), model, setting)

    def begin(name: str, kill_after: str = "") -> subprocess.Popen[bytes]:
        environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT), VARIABLE: kill_after}
        with (home / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*command(given), "--trainer.default_root_dir", str(home / name)],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a kill takes the workers that load batches with it
            )

    def train(*names: str) -> None:
        end({name: begin(name) for name in names}, deadline, home)

    both = {"whole": begin("whole"), "killed": begin("killed", str(KILLED))}
    end(both, deadline, home, killed="killed")
    train("killed")
    *_, resumed_from = (home / "killed" / STARTS).read_text(encoding="utf-8").split()
    steps, whole = last(home / "whole")
    found: dict[str, Any] = {
        "steps": steps,
        "killed_after": KILLED,
        "resumed_from": int(resumed_from),
        "largest_difference": difference(whole, last(home / "killed")[1]),
    }
    if found["largest_difference"]:
        train("again")
        found["undisturbed_difference"] = difference(whole, last(home / "again")[1])
        if not found["largest_difference"] <= TOLERANCE * found["undisturbed_difference"]:  # or NaN
            raise RuntimeError(f"the weights are not those of an undisturbed training: {found}")
    return found


def command(given: Sequence[str]) -> list[str]:
    """The command of a training, but for its run folder."""
    return [
        *(sys.executable, "-m", "lit_hf", "fit", *given),
        *("--trainer.max_epochs", "2", "--trainer.val_check_interval", str(CHECKPOINT)),
        *("--trainer.deterministic", "warn", "--trainer.logger", "false"),
        *("--trainer.enable_progress_bar", "false", "--samples.num_samples", "0"),
        *("--import", "benchmarks.gpu.sigkill"),
        *("--trainer.callbacks+", "benchmarks.gpu.sigkill.Kill"),
    ]


def end(
    processes: Mapping[str, "subprocess.Popen[bytes]"],
    deadline: float,
    home: Path,
    killed: str | None = None,
) -> None:
    """Wait for the ends of all.

    Args:
        processes: by the names of their logs.
        deadline: on the monotonic clock; they are killed then.
        home: of the logs.
        killed: name of the one that ends by a kill.

    Raises:
        RuntimeError: if one does not end as it should.
    """
    try:
        for name, process in processes.items():
            code = process.wait(max(0.0, deadline - time.monotonic()))
            if code != (-signal.SIGKILL if name == killed else 0):
                text = (home / f"{name}.log").read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"the training ended with {code}\n{text[-LAST:]}")
    except subprocess.TimeoutExpired:
        raise TimeoutError("the trainings did not end in time") from None
    finally:
        for process in processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def last(run: Path) -> tuple[int, Weights]:
    """Step and weights of the last checkpoint of a run."""
    checkpoint = torch.load(
        run / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True
    )
    return checkpoint["global_step"], checkpoint["state_dict"]


def difference(one: Weights, other: Weights) -> float:
    """The largest difference of two weights that have the same name."""
    if one.keys() != other.keys():
        raise RuntimeError(f"the weights have other names: {one.keys() ^ other.keys()}")
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)
