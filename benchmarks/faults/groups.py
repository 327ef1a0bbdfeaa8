"""Faults as a table: what happens to a training, and what has to come of it.

Groups are numbered as in docs/faults.md, which lists all of them; those of rows, images, security
and use have no process to harm and are shown by the tests alone.
"""

import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

Harm = Callable[[Path], object]
NUM_BATCHES = 20  # of the ordinary training, ten an epoch
TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.val_check_interval", "2")
WORKERS = ("--data.num_workers", "2")
WINDOWS = ("--trainer.accumulate_grad_batches", "4", "--trainer.val_check_interval", "4")
NAMED = ("--ckpt_path", "RUN/checkpoints/last.ckpt")


class Case(NamedTuple):
    """A training that is harmed, and the same command after it.

    Attributes:
        group: number of the group of faults.
        name: what is done.
        stops: for `Witness`, one for each run that is harmed.
        code: exit code of the harmed runs; None where any will do.
        says: what the last harmed run prints; a word with a leading "-" is not there.
        settings: of all runs.
        harm: done to the folder of the run before the last command.
        changed: settings of the last command.
        refusal: what the last command prints when it ends with exit code 2; "" where it has to end
            with the weights of a training that nothing has stopped.
        is_exact: whether the weights are compared at all.
    """

    group: int
    name: str
    stops: tuple[str, ...] = ()
    code: int | None = None
    says: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    harm: Harm | None = None
    changed: tuple[str, ...] = ()
    refusal: str = ""
    is_exact: bool = True


def _cut(share: float) -> Harm:
    def cut(folder: Path) -> None:
        path = _last(folder)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return cut


def _write(content: bytes) -> Harm:
    return lambda folder: _last(folder).write_bytes(content)


def _flip(folder: Path) -> None:
    """Flip a bit of the largest weight."""
    content = bytearray(_last(folder).read_bytes())
    with zipfile.ZipFile(_last(folder)) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    content[largest.header_offset + largest.file_size // 2] ^= 4
    _last(folder).write_bytes(bytes(content))


def _edit(change: Callable[[dict[str, Any]], object]) -> Harm:
    def edit(folder: Path) -> None:
        content = torch.load(_last(folder), weights_only=True)
        torch.save(change(content) or content, _last(folder))

    return edit


def _last(folder: Path) -> Path:
    return folder / "checkpoints" / "last.ckpt"


def _bad_loss(folder: Path) -> None:
    """See that no checkpoint holds a weight that is not finite."""
    for path in folder.rglob("*.ckpt"):
        for weights in torch.load(path, weights_only=True)["state_dict"].values():
            assert not weights.is_floating_point() or weights.isfinite().all(), path


def _resumed(group: int, settings: tuple[str, ...], code: int | None, *stops: str) -> Case:
    return Case(group, ", ".join((*stops, *settings)), stops, code, settings=settings)


def _corrupt(group: int, name: str, harm: Harm) -> list[Case]:
    """`last.ckpt` is looked for: the one before is taken; it is named: it is refused."""
    stop = ("kill@batch:12",)
    return [
        Case(group, name, stop, harm=harm),
        Case(group, f"{name}, named", stop, harm=harm, changed=NAMED, refusal="last.ckpt"),
    ]


def cases(seed: int = 0) -> list[Case]:
    """All cases, in the order of their groups."""
    draw = random.Random(seed)
    kills = [f"kill@batch:{draw.randrange(6, NUM_BATCHES)}" for _ in range(4)]
    finite = ("the loss is", "for the examples 't", "-Traceback")
    changes = {
        "data.batch_size": ("--data.batch_size", "8"),
        "seed": ("--seed_everything", "1"),
        "number of training rows": ("--data.train_file", "HOME/fewer.csv"),
    }
    return [
        *(_resumed(1, WORKERS * (n % 2), -9, kill) for n, kill in enumerate(kills)),
        *(_resumed(2, WORKERS, -9, f"kill@batch:{batch}") for batch in (12, 17)),
        *(_resumed(3, (), -9, f"kill@val:{number}") for number in (1, 2)),
        *(_resumed(4, (), -9, f"kill@{at}") for at in ("batch:2", "epoch_end:0", "epoch:1")),
        _resumed(5, (), -9, "kill@batch:11", "kill@batch:3", "kill@batch:6"),
        _resumed(6, (), 143, "term@batch_end:3"),
        _resumed(6, WORKERS, 143, "term@batch_end:13"),
        *(_resumed(7, WINDOWS, 143, f"term@batch_end:{batch}") for batch in (4, 13)),
        _resumed(8, (), 143, "term@batch_end:7,term~0.01@save:2"),
        _resumed(9, WORKERS, 130, "int_all@batch_end:12"),
        *(_resumed(10, (), 143, f"{name}@batch_end:8") for name in ("hup", "usr1")),
        Case(11, "an exception in a step", ("raise@batch:8",), 1, ("a mistake", "last.ckpt")),
        Case(13, "a killed worker", ("lose_worker@batch:7",), 1, ("num_workers",), WORKERS),
        Case(15, "MemoryError", ("memory@batch:3",), 1, ("data.batch_size", "-Traceback")),
        Case(15, "another CUDA error", ("cuda@batch:3",), 1, ("illegal", "-out of memory")),
        *(
            Case(17, f"another {name}", ("kill@batch:8",), changed=words, refusal=name)
            for name, words in changes.items()
        ),
        Case(
            17,
            "--allow-changed",
            ("kill@batch:8",),
            is_exact=False,
            changed=(*changes["data.batch_size"], "--allow-changed"),
        ),
        Case(18, "other workers", ("kill@batch:8",), changed=WORKERS),
        Case(20, "an empty folder"),
        Case(23, "killed while saving", ("kill~0.005@save:2",)),
        Case(24, "a full disk", ("full@batch:7",), 1, ("cannot be written", "-Traceback")),
        *_corrupt(29, "cut in half", _cut(0.5)),
        *_corrupt(29, "empty", _cut(0)),
        *_corrupt(29, "an LFS pointer", _write(b"version https://git-lfs.github.com/spec/v1\n")),
        *_corrupt(31, "one flipped bit", _flip),
        Case(
            32,
            "without optimizer",
            ("kill@batch:12",),
            changed=NAMED,
            refusal="weights only",
            harm=_edit(lambda content: content.pop("optimizer_states") and None),
        ),
        Case(
            32,
            "a bare state_dict",
            ("kill@batch:12",),
            changed=NAMED,
            refusal="state_dict",
            harm=_edit(lambda content: content["state_dict"]),
        ),
        Case(39, "NaN", ("nan@batch:7",), 1, finite, harm=_bad_loss),
        Case(39, "NaN in a window", ("nan@batch:6",), 1, finite, WINDOWS, harm=_bad_loss),
        Case(40, "NaN on one process", ("nan@batch:3@rank1",), 1, finite, TWO, harm=_bad_loss),
        Case(42, "a loss x 1000", ("spike@batch:13",), 0, ("for the examples 't",), is_exact=False),
        _resumed(49, TWO, 143, "term@batch_end:2"),
        _resumed(49, TWO, 143, "term@batch_end:2@rank1"),
        *(_resumed(50, TWO, None, f"kill1@batch:4@rank{rank}") for rank in (0, 1)),
        Case(51, "an exception on process 1", ("raise@batch:3@rank1",), None, ("a mistake",), TWO),
        Case(
            54,
            "2 processes, then 1",
            ("kill@batch:4",),
            settings=TWO,
            changed=("--trainer.devices", "1"),
            refusal="number of processes",
        ),
    ]
