"""GracefulShutdown: a run that a signal asks to end does so where nothing is lost."""

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
from lit_hf.distributed.agreement import are_several
from lit_hf.distributed.signals import EXIT_CODES, exit_at_once
from lit_hf.errors import code_of_process

_MESSAGE = b"\nlit-hf: finishing the batch; Ctrl-C again stops at once\n"


class GracefulShutdown(Callback):
    """Ends a run at SIGTERM, SIGHUP, SIGUSR1 or Ctrl-C, after the batch at work.

    A training ends when its optimizer has stepped, with a new `last.ckpt` (of `LastCheckpoint`); in
    a validation with one from which that validation starts again. A second Ctrl-C ends it at once.
    The processes of a distributed run end at the same batch: each tells the others of its signals
    while the batch runs, so that the answer is there when the next one begins.

    SIGHUP is left alone under `nohup`, SIGUSR1 where SLURM requeues with it.

    Raises:
        SystemExit: with the exit code of the signal.
    """

    def __init__(self) -> None:
        self.code = 0  # of the signal that came to this process
        self._before: dict[int, object] = {}
        self._process = 0
        self._has_trained = False
        self._group: dist.ProcessGroup | None = None
        self._sent: tuple[torch.Tensor, dist.Work | None] | None = None

    def __getstate__(self) -> dict[str, object]:  # a copy listens to nothing
        return {**vars(self), "_before": {}, "_group": None, "_sent": None}

    # Where it starts to listen. Lightning sets its own handlers just before.

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to listen; nothing has been trained that a checkpoint could lack."""
        self._has_trained = False
        self._listen()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to listen."""
        self._listen()

    on_sanity_check_start = on_test_start = on_predict_start = on_validation_start

    def teardown(self, *args: object, **kwargs: object) -> None:
        """Restore the handlers."""
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)  # type: ignore[arg-type]  # as getsignal gave it
        self._before, self._group, self._sent = {}, None, None

    on_exception = teardown

    # Where it stops.

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Stop between two optimizer steps; a validation that was due has been run."""
        if not open_batches(trainer):
            self._stop(trainer, save=self._has_trained)

    def on_train_batch_end(self, *args: object, **kwargs: object) -> None:
        """Note that there is something to save."""
        self._has_trained = True

    def on_validation_batch_start(self, trainer: Trainer, *args: object, **kwargs: object) -> None:
        """Stop before the batch."""
        # Averages of the weights are in the model now, so the checkpoint on disk has to do.
        averages = any(isinstance(c, WeightAveraging) for c in _callbacks(trainer))
        self._stop(trainer, save=self._has_trained and not averages)

    def on_test_batch_start(self, trainer: Trainer, *args: object, **kwargs: object) -> None:
        """Stop before the batch."""
        self._stop(trainer, save=False)

    on_predict_batch_start = on_test_batch_start

    def _stop(self, trainer: Trainer, save: bool) -> None:
        if not (code := self._agreed_code()):
            return
        for callback in _callbacks(trainer) if save else []:
            if isinstance(callback, LastCheckpoint):
                callback.save_unsaved(trainer)
        raise SystemExit(code_of_process(code))

    def _agreed_code(self) -> int:
        """The largest exit code that any process had one batch ago; 0 to continue."""
        if not are_several():
            return self.code
        # On the CPU whatever the model runs on: no device waits for the answer.
        self._group = self._group or dist.new_group(backend="gloo")
        code = 0
        if self._sent is not None:
            codes, work = self._sent
            if work is not None:
                work.wait()
            code = int(codes)
        codes = torch.tensor(self.code)
        work = dist.all_reduce(codes, dist.ReduceOp.MAX, group=self._group, async_op=True)
        self._sent = codes, work
        return code

    def _listen(self) -> None:
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        self.code, self._sent, self._process = 0, None, os.getpid()
        for name in EXIT_CODES:
            if (number := getattr(signal, name, None)) is None:
                continue
            handler = signal.getsignal(number)
            is_taken = name in ("SIGHUP", "SIGUSR1") and handler not in (
                signal.SIG_DFL,
                exit_at_once,
            )
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
            with suppress(OSError):  # a program without a terminal
                os.write(2, _MESSAGE)  # print() may be what was interrupted


def signal_code(trainer: Trainer) -> int:
    """The exit code of the signal that came to this process in a run; 0 if none did."""
    found = (c for c in _callbacks(trainer) if isinstance(c, GracefulShutdown))
    return next((callback.code for callback in found), 0)


def _callbacks(trainer: Trainer) -> list[Callback]:
    return list(trainer.callbacks)  # type: ignore[attr-defined]  # set by a connector
