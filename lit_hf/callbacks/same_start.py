"""All processes of a run begin alike: with one run folder, one checkpoint, the same versions."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import torch.distributed as dist
from lightning.pytorch import Trainer

from lit_hf import __version__
from lit_hf.checkpointing.reader import checkpoint_to_come, read_checkpoint
from lit_hf.errors import InputError, WriteError
from lit_hf.files.atomic import write_bytes
from lit_hf.files.scratch import own_name

_LIBRARIES = ("torch", "lightning", "transformers", "tokenizers", "datasets")
_PATIENCE = 5  # seconds that a network disk may need to show a new file
Facts = Mapping[str, str]
_INSTALL = "Install the same on all machines."
_SHARE = (
    "Give all of them one folder as `default_root_dir`: on a disk that all machines mount, by a "
    "path that leads there on each."
)


def check_same_start(trainer: Trainer, refused: str = "") -> None:
    """Refuse processes of which one resumes and another does not, or that share no run folder.

    Each would wait for the others without end, or look for files that lie on another machine. The
    first process writes a file into the run folder, and all of them look for it. All processes must
    call it, in `setup`.

    Args:
        trainer: who has asked for the checkpoint, and has the run folder.
        refused: why this process cannot begin; it is told by all of them.

    Raises:
        InputError: the same one in all processes.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        if refused:
            raise InputError(refused)
        return
    folder = Path(os.path.abspath(trainer.default_root_dir))
    mark = folder / own_name("start")
    try:
        if trainer.is_global_zero:
            refused = refused or _write(mark)
        first = _gathered({"refused": refused, "mark": mark.name})
        seen = "" if first[0]["refused"] else str(_is_there(folder / first[0]["mark"]))
        own = {"refused": refused, "seen": seen, "folder": str(folder), **_own_facts(trainer)}
        everywhere = _gathered(own)
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)
    if told := difference(everywhere):
        raise InputError(told)


def difference(everywhere: Sequence[Facts]) -> str:
    """Say what differs between processes, and what to do; "" where they may begin.

    Args:
        everywhere: of each process its `host`, run `folder`, whether it has `seen` the file of the
            first one there, `checkpoint` and `versions`, and why it has `refused`.
    """
    who = [f"process {rank} on {facts['host']}" for rank, facts in enumerate(everywhere)]
    refused = [n for n, facts in enumerate(everywhere) if facts["refused"]]
    if refused:
        reason = everywhere[refused[0]]["refused"]
        return reason if len(refused) == len(who) else f"{who[refused[0]]}: {reason}"
    for fact, remedy in (("versions", _INSTALL), ("checkpoint", _SHARE)):
        others = [n for n, facts in enumerate(everywhere) if facts[fact] != everywhere[0][fact]]
        if others:
            told = [
                f"{who[n]} has {everywhere[n][fact]} (run folder {everywhere[n]['folder']})"
                for n in (0, others[0])
            ]
            return f"the processes of this run do not begin alike: {' and '.join(told)}. {remedy}"
    if blind := [n for n, facts in enumerate(everywhere) if facts["seen"] != "True"]:
        return (
            f"the processes of this run do not share a run folder: {who[blind[0]]} does not find "
            f"in {everywhere[blind[0]]['folder']} what {who[0]} has written to "
            f"{everywhere[0]['folder']}. {_SHARE}"
        )
    return ""


def _own_facts(trainer: Trainer) -> dict[str, str]:
    return {
        "host": socket.gethostname(),
        "checkpoint": _told_checkpoint(checkpoint_to_come(trainer)),
        "versions": ", ".join(
            [f"lit_hf {__version__}", *(f"{name} {version(name)}" for name in _LIBRARIES)]
        ),
    }


def _told_checkpoint(path: str | None) -> str:
    """A checkpoint by its name and step, which do not change with the place of the folder."""
    if path is None:
        return "no checkpoint"
    try:
        step = read_checkpoint(path).get("global_step")
    except InputError as error:
        return f"no checkpoint that can be read ({error})"
    return f"{Path(path).name} of step {step}"


def _gathered(own: Facts) -> list[Facts]:
    everywhere: list[Facts] = [own] * dist.get_world_size()
    dist.all_gather_object(everywhere, own)
    return everywhere


def _write(mark: Path) -> str:
    """Make an empty file; why it cannot be, "" where it is there."""
    try:
        write_bytes(mark, b"")
    except WriteError as error:
        return str(error)
    return ""


def _is_there(path: Path) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
