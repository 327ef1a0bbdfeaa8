from collections.abc import Callable

import lightning.pytorch as pl
import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.signals import StopAtSigterm

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


class Ask(pl.Callback):
    """Says after the first batch that SIGTERM has come, as Lightning's own handler does."""

    num_batches = 0

    def _ask(self, trainer: pl.Trainer, *_: object) -> None:
        self.num_batches += 1
        trainer._signal_connector.received_sigterm = True

    on_validation_batch_end = _ask  # type: ignore[assignment]
    on_test_batch_end = _ask  # type: ignore[assignment]
    on_predict_batch_end = _ask  # type: ignore[assignment]


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_evaluation__ends_after_the_batch_in_which_the_signal_came(fit: Fit, verb: str) -> None:
    _, module, data = fit(data={"eval_batch_size": 4})
    ask = Ask()
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        callbacks=[ask, StopAtSigterm()],
    )
    with pytest.raises(SIGTERMException):
        getattr(trainer, verb)(module, data)
    assert ask.num_batches == 1
