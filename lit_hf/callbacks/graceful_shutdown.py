"""GracefulShutdown: a training or evaluation that is asked to end does so where nothing is lost."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging

from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.resume_state import open_batches
from lit_hf.distributed.early_signals import EXIT_CODES, EndAtOnce
from lit_hf.errors import code_of_process

_AGAIN = b"\nlit-hf: finishing the batch; Ctrl-C again stops at once\n"


class GracefulShutdown(Callback):
    """Ends a run at SIGTERM, SIGHUP, SIGUSR1 or Ctrl-C, after the batch at work.

    A training ends when its optimizer has stepped, with a new `last.ckpt` (of `LastCheckpoint`); in
    a validation with one from which that validation begins anew. A second Ctrl-C ends it at once.
    The processes of a distributed run agree on the batch: each tells the others of its signals
    while the batch runs, so that the answer is there when the next one begins.

    SIGHUP is left alone under `nohup`, SIGUSR1 where SLURM asks with it for a new place.

    Raises:
        SystemExit: with the exit code of the signal.
    """

    def __init__(self) -> None:
        self.code = 0  # of the signal that came to this process
        self._before: dict[int, object] = {}
        self._process = 0
        self._has_trained = False
        self._group: dist.ProcessGroup | None = None
        self._told: tuple[torch.Tensor, dist.Work | None] | None = None

    def __getstate__(self) -> dict[str, object]:  # a copy listens to nothing
        return {**vars(self), "_before": {}, "_group": None, "_told": None}

    # Where it listens. Lightning puts its own handler in place just before.

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to listen."""
        self._listen(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to listen; nothing has been trained that a checkpoint could lack."""
        self._has_trained = False
        self._listen(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to listen."""
        self._listen(trainer)

    on_test_start = on_predict_start = on_validation_start

    def teardown(self, *args: object, **kwargs: object) -> None:
        """Leave signals as they were."""
        self._end()

    on_exception = teardown

    # Where it stops.

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Stop between two optimizer steps; a validation that was due has been run."""
        if not open_batches(trainer):
            self._stop(trainer, save=self._has_trained)

    def on_train_batch_end(self, *args: object, **kwargs: object) -> None:
        """Note that there is something to keep."""
        self._has_trained = True

    def on_validation_batch_start(self, trainer: Trainer, *args: object, **kwargs: object) -> None:
        """Stop before the batch."""
        # Averages of weights stand in the model's place now: what is on disk has to do.
        averaged = any(isinstance(c, WeightAveraging) for c in _callbacks(trainer))
        self._stop(trainer, save=self._has_trained and not averaged)

    def on_test_batch_start(self, trainer: Trainer, *args: object, **kwargs: object) -> None:
        """Stop before the batch."""
        self._stop(trainer, save=False)

    on_predict_batch_start = on_test_batch_start

    def _stop(self, trainer: Trainer, save: bool) -> None:
        if not (code := self._agreed(trainer)):
            return
        if save:
            for callback in _callbacks(trainer):
                if isinstance(callback, LastCheckpoint):
                    callback.save_unsaved(trainer)
        raise SystemExit(code_of_process(code))

    def _agreed(self, trainer: Trainer) -> int:
        """The largest exit code that any process knew of a batch ago; 0 to go on."""
        if trainer.world_size == 1 or not (dist.is_available() and dist.is_initialized()):
            return self.code
        if self._group is None:
            # On the CPU whatever the model runs on: no device waits for the answer.
            self._group = dist.new_group(backend="gloo")
        code = 0
        if self._told is not None:
            codes, work = self._told
            if work is not None:
                work.wait()
            code = int(codes)
        codes = torch.tensor(self.code)
        work = dist.all_reduce(codes, dist.ReduceOp.MAX, group=self._group, async_op=True)
        self._told = codes, work
        return code

    # Signals.

    def _listen(self, trainer: Trainer) -> None:
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        self.code, self._told, self._process = 0, None, os.getpid()
        for name in EXIT_CODES:
            if (number := getattr(signal, name, None)) is None:
                continue
            handler = signal.getsignal(number)
            is_free = handler is signal.SIG_DFL or isinstance(handler, EndAtOnce)
            is_taken = name in ("SIGHUP", "SIGUSR1") and not is_free
            if handler is not signal.SIG_IGN and not is_taken:
                self._before[number] = handler
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker that loads batches: its parent decides
            return
        if number == signal.SIGINT and self.code:
            raise KeyboardInterrupt
        self.code = EXIT_CODES[signal.Signals(number).name]
        if number == signal.SIGINT:
            with suppress(OSError):  # a program without a terminal, as pythonw
                os.write(2, _AGAIN)  # print() may be what was interrupted

    def _end(self) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)  # type: ignore[arg-type]  # as getsignal gave it
        self._before = {}
        self._group = self._told = None


def asked_code(trainer: Trainer) -> int:
    """The exit code of the signal that came to this process in a run; 0 if none did."""
    found = (c for c in _callbacks(trainer) if isinstance(c, GracefulShutdown))
    return next((callback.code for callback in found), 0)


def _callbacks(trainer: Trainer) -> list[Callback]:
    return list(trainer.callbacks)  # type: ignore[attr-defined]  # set by a connector
