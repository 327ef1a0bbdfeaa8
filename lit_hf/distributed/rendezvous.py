"""The place where the processes of a run meet, and what one tells there that ends before.

All but one would wait for it there, in a call that no handler interrupts. The place is torch's own
store, at the address and port where the processes meet anyway; whoever hosts it opens it early.
"""

import atexit
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING

import torch.distributed as dist
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Trainer

from lit_hf.distributed.early_signals import EXIT_CODES
from lit_hf.distributed.launcher import end_others, killed_others
from lit_hf.errors import InputError, SharedFaultError, code_of_process
from lit_hf.functional.credentials import without_credentials
from lit_hf.functional.text import printable

if TYPE_CHECKING:
    from torch._C._distributed_c10d import TCPStore  # torch.distributed has it, but no type of it

log = logging.getLogger(__name__)
_PATIENCE = 20.0
"""Seconds that one which ends stays, so that others hear of it which have begun with it."""
_RANKS = ("NODE_RANK", "GROUP_RANK", "LOCAL_RANK")
_GONE = "the process that hosts the meeting, at {address}:{port}, has ended"


@dataclass(frozen=True)
class Place:
    """An address and a port, and whether this process is the one that is reached there."""

    address: str
    port: int
    is_host: bool


def place_of_process() -> Place | None:
    """Where this process will meet others; None where its environment does not tell of any."""
    try:
        if TorchElasticEnvironment.detect():
            is_host = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
            elastic = TorchElasticEnvironment()
            is_host = is_host and elastic.global_rank() == 0
            return Place(elastic.main_address, elastic.main_port, is_host)
        if SLURMEnvironment.detect():
            slurm = SLURMEnvironment()
            if slurm.world_size() == 1:
                return None
            return Place(slurm.main_address, slurm.main_port, slurm.global_rank() == 0)
        if not {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys() or not _ranks():
            return None
        own = LightningEnvironment()
        return Place(own.main_address, own.main_port, own.node_rank() == own.local_rank() == 0)
    except (ValueError, KeyError, RuntimeError):  # the Trainer tells what is wrong with it
        return None


def _ranks() -> list[str]:
    return [name for name in _RANKS if name in os.environ]


@contextmanager
def telling_others() -> Iterator[None]:
    """Tell the other processes of the run if this one ends before it has met them.

    They may be about to wait for it, also where they have been started on other machines.
    """
    is_late = dist.is_available() and dist.is_initialized()
    place = None if is_late else place_of_process()
    watch = None if place is None else _watch(place)
    try:
        yield
    except BaseException as error:
        if watch is not None:
            _leave(watch, _code_of(error), str(error))
        raise
    if watch is not None:
        _leave(watch, 0, "it had nothing to do")


def tell_wait(trainer: Trainer, *leave: Callable[[], None], patience: float = 20) -> None:
    """Let a process that waits for the others of its run say so, and end if one of them has.

    Args:
        trainer: who lets them meet.
        leave: what gives back, before this process ends, what it holds.
        patience: seconds of silence.
    """
    strategy = trainer.strategy
    meet = strategy.setup_environment

    def meet_and_tell() -> None:
        found = getattr(strategy, "cluster_environment", None)
        if found is None or trainer.world_size == 1 or dist.is_initialized():
            meet()
            return
        usual = Place(found.main_address, found.main_port, trainer.is_global_zero)
        watch = _watch(place_of_process() or usual)
        where = f"{watch.place.address}:{watch.place.port}"
        told = f"waiting for the other processes of this run, which meet at {where} …"
        timer = threading.Timer(patience, log.warning, [told])
        timer.daemon = True
        timer.start()
        watch.lost = partial(killed_others, trainer, 0)
        watch.answer = partial(_end, trainer, leave)
        try:
            meet()
        except dist.DistError as error:
            time.sleep(1)  # one whose host is gone is ended by its watch
            raise SharedFaultError(
                f"the processes of this run have not met at {where}: "
                f"{str(error).splitlines()[0]} Look at what each of them has said, on all machines."
            ) from error
        finally:
            timer.cancel()
        watch.is_over.set()

    strategy.setup_environment = meet_and_tell  # type: ignore[method-assign]  # no hook is there


@dataclass(frozen=True)
class _Note:
    """What a process that ends leaves: its exit code, and the sentence that tells of it."""

    code: int
    told: str


class _Watch(threading.Thread):
    """Opens the meeting place or joins it, and looks there for the note of one that has ended.

    Args:
        place: where.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True, name="meeting-place")
        self.place = place
        self.store: TCPStore | None = None
        self.is_over = threading.Event()
        self.lost: Callable[[], str] = str  # says which process, started here, was killed
        self.answer: Callable[[_Note], None] | None = None  # set while this process waits
        self._parent = os.getppid()

    def run(self) -> None:
        """Look four times a second, until the processes have met."""
        found = None
        while not self.is_over.wait(0.25):
            found = found or self._look()
            if found is not None and self.answer is not None:
                self.answer(found)
                return

    def leave(self, note: _Note) -> bool:
        """Write a note, if none is there; whether that could be done yet."""
        if self.store is None:
            return False
        with suppress(RuntimeError):  # its host is gone
            self.store.compare_set(_key(), "", json.dumps([note.code, note.told]))
        return True

    def _look(self) -> _Note | None:
        if told := self.lost():
            return _Note(1, told)
        if os.getppid() != self._parent and _is_launched():
            return _Note(1, "the process that has started this one is gone")
        try:
            self.store = self.store or _joined(self.place)
            if self.store is None or not self.store.check([_key()]):
                return None
            code, told = json.loads(self.store.get(_key()))
            return _Note(int(code), printable(str(told), 1000))
        except RuntimeError:
            is_lost = self.store is not None
            return _Note(1, _GONE.format(**vars(self.place))) if is_lost else None
        except (ValueError, TypeError):  # no note of ours
            return None


@cache
def _watch(place: Place) -> _Watch:
    watch = _Watch(place)
    watch.start()
    return watch


def _joined(place: Place) -> "TCPStore | None":
    """The store of the meeting; None where nobody hosts it yet."""
    if not place.is_host:
        try:  # torch would write a page of lines where nobody is there
            socket.create_connection((place.address, place.port), timeout=5).close()
        except OSError:
            return None
    store: TCPStore = dist.TCPStore(  # type: ignore[attr-defined]  # torch may be built without
        place.address,
        place.port,
        is_master=place.is_host,
        timeout=timedelta(seconds=10),
        wait_for_workers=False,
        multi_tenant=True,  # torch takes the same one, when the processes meet
        use_libuv=os.environ.get("USE_LIBUV", "1") == "1",  # as torch decides it
    )
    return store


def _key() -> str:
    """The name of the note; torchrun keeps its store when it starts processes again."""
    return f"lit_hf/ended/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def _leave(watch: _Watch, code: int, reason: str) -> None:
    """Leave a note, and stay some seconds where others could not hear of it otherwise."""
    if watch.is_over.is_set():
        return
    who = f"process {os.getpid()} on {socket.gethostname()}"
    why = printable(without_credentials(reason), 500)
    note = _Note(code, f"{who} has ended before the processes of this run met (code {code}): {why}")
    is_asked = code in (0, *EXIT_CODES.values())
    if watch.leave(note) and (is_asked or not (watch.place.is_host or _is_launched())):
        return
    if not is_asked:
        atexit.register(_stay, watch, note)  # after its own error has been written


def _stay(watch: _Watch, note: _Note) -> None:
    """Wait for the place where the note is left; a host keeps it open, for those that come late.

    One that this machine's first process has started waits to be ended by it: Lightning would kill
    the first one if it found it ended.
    """
    deadline = time.monotonic() + _PATIENCE
    with suppress(KeyboardInterrupt):
        while time.monotonic() < deadline:
            if watch.leave(note) and not (watch.place.is_host or _is_launched()):
                return
            time.sleep(0.1)


def _end(trainer: Trainer, leave: Sequence[Callable[[], None]], note: _Note) -> None:
    """End this process, which waits in a call that nothing interrupts."""
    if _is_launched():
        time.sleep(_PATIENCE)  # the one that has started it hears the same, and ends it
        os._exit(note.code or 2)
    told = f"lit-hf: error: {note.told} Look at what it has said, on its machine."
    print(told, file=sys.stderr, flush=True)
    for give_back in leave:
        give_back()
    end_others(trainer, patience=0)
    sys.stdout.flush()
    os._exit(note.code or 2)


def _is_launched() -> bool:
    """Whether Lightning's launcher has started this process for another one on this machine."""
    return code_of_process(1) == 0


def _code_of(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, InputError) else 1
