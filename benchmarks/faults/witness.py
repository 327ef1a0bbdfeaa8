"""Witness: a callback that does harm at a moment, and writes down what was trained.

It stands in the programs under test, `lit-hf` by `--import`, as a callback of a user would. What it
is to do comes in the variable FAULTS, as `term@batch:7` or `kill@save:1@rank1`: an act, a moment,
how many moments of the kind came before, and the process; several are parted by commas. What it
sees goes to the folder in the variable WITNESS, one line of JSON for each batch.
"""

import hashlib
import json
import math
import os
import resource
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

ACTS: dict[str, Callable[[pl.Trainer, pl.LightningModule], object]] = {}
SIGNALS = {"term": "SIGTERM", "int": "SIGINT", "hup": "SIGHUP", "usr1": "SIGUSR1"}


def _group(name: int, trainer: pl.Trainer, module: pl.LightningModule) -> None:
    os.killpg(0, name)


def _one(name: int, trainer: pl.Trainer, module: pl.LightningModule) -> None:
    os.kill(os.getpid(), name)


def _worker(name: int, trainer: pl.Trainer, module: pl.LightningModule) -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    os.kill(int(children[-1]), name)


def _mistake(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    raise LookupError("a mistake in the code of the user")


def _no_memory(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    raise MemoryError("no room for 7 GiB")


def _other_cuda(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def _full(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Let no file grow beyond a few bytes, as on a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))


def _scale(factor: float, trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Multiply the logits in the next pass of the model; those of the first example, if by NaN."""
    head: torch.nn.Module = module.model.classifier  # type: ignore[assignment, union-attr]  # of BERT

    def change(_: object, __: object, logits: Tensor) -> Tensor:
        handle.remove()
        wrong = torch.ones_like(logits)
        wrong[: None if math.isfinite(factor) else 1] = factor
        return (logits + torch.tensor([1.0, -1.0])) * wrong

    handle = head.register_forward_hook(change)


ACTS.update(
    {
        "kill": partial(_group, signal.SIGKILL),
        "kill1": partial(_one, signal.SIGKILL),
        "int_all": partial(_group, signal.SIGINT),
        "lose_worker": partial(_worker, signal.SIGKILL),
        "raise": _mistake,
        "memory": _no_memory,
        "cuda": _other_cuda,
        "full": _full,
        "nan": partial(_scale, float("nan")),
        "spike": partial(_scale, 1000.0),
    }
)
for _word, _name in SIGNALS.items():
    ACTS[_word] = partial(_one, getattr(signal, _name))


class Witness(pl.Callback):
    """Acts at moments, and writes ids and loss of every batch and the digest of the weights."""

    def __init__(self) -> None:
        self._plan = [_parsed(word) for word in os.environ.get("FAULTS", "").split(",") if word]
        self._counts: Counter[str] = Counter()

    def _at(self, moment: str, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        number = self._counts[moment]
        self._counts[moment] += 1
        for act, delay, *when in self._plan:
            if when == [moment, number, trainer.global_rank]:
                if delay:
                    _later(act, delay)
                else:
                    ACTS[act](trainer, module)

    def _write(self, trainer: pl.Trainer, line: Mapping[str, object]) -> None:
        path = Path(os.environ["WITNESS"]) / f"{trainer.global_rank}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A moment."""
        self._at("start", trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A moment."""
        self._at("epoch", trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """A moment."""
        self._at("batch", trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 - as Lightning gives it
        batch: Any,  # noqa: ANN401 - as the loader gives it
        batch_idx: int,
    ) -> None:
        """Write the batch down; a moment."""
        place, ids = [trainer.current_epoch, batch_idx], list(batch["id"])
        loss = float(outputs["loss"]).hex()
        self._write(trainer, {"place": place, "ids": ids, "loss": loss})
        self._at("batch_end", trainer, pl_module)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        """A moment, but in the sanity check."""
        if not trainer.sanity_checking:
            self._at("val", trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A moment, before the checkpoint of the epoch."""
        self._at("epoch_end", trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """A moment, just before a checkpoint is written."""
        self._at("save", trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the digest of the weights."""
        digest = hashlib.sha256()
        for name, weights in sorted(pl_module.state_dict().items()):
            digest.update(name.encode() + weights.contiguous().numpy().tobytes())
        self._write(trainer, {"end": digest.hexdigest(), "step": trainer.global_step})


def _parsed(word: str) -> list[Any]:
    """`kill~0.02@save:1@rank1` as act, delay, moment, number and process."""
    act, when, *rank = word.split("@")
    act, _, delay = act.partition("~")
    moment, _, number = when.partition(":")
    process = int(rank[0].removeprefix("rank")) if rank else 0
    return [act, float(delay or 0), moment, int(number), process]


def _later(act: str, delay: float) -> None:
    """Send a signal from another process, so that it falls into whatever runs then."""
    name = {"kill": "KILL", "kill1": "KILL", "term": "TERM", "int": "INT"}[act]
    subprocess.Popen(["sh", "-c", f"sleep {delay:.4f}; kill -{name} {os.getpid()}"])
