import signal
from collections.abc import Callable

import lightning.pytorch as pl
import pytest

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.graceful_shutdown import GracefulShutdown
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


class Ask(pl.Callback):
    """Sends SIGTERM to this process in the first batch: Lightning's handler only notes it."""

    num_batches = 0

    def _ask(self) -> None:
        self.num_batches += 1
        # Without a handler the signal would end the whole test run.
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        signal.raise_signal(signal.SIGTERM)

    def on_validation_batch_end(self, *_: object) -> None:
        self._ask()

    def on_test_batch_end(self, *_: object) -> None:
        self._ask()

    def on_predict_batch_end(self, *_: object) -> None:
        self._ask()


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_evaluation__ends_after_the_batch_in_which_the_signal_came(fit: Fit, verb: str) -> None:
    _, module, data = fit(data={"eval_batch_size": 4})
    ask = Ask()
    before = signal.getsignal(signal.SIGTERM)
    trainer = quiet_trainer(callbacks=[ask, GracefulShutdown()])
    with pytest.raises(SystemExit):
        getattr(trainer, verb)(module, data)
    assert ask.num_batches == 1
    assert signal.getsignal(signal.SIGTERM) is before  # for the tests after this one
