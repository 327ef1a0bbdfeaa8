import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.checkpointing.optimizer_settings import overruled
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]


@pytest.mark.parametrize("scheduler", ["constant", "linear"])
def test_resume__says_which_settings_have_no_effect(
    scheduler: Any,  # noqa: ANN401 - the name of one
    tiny_model: str,
    tweet_rows: Rows,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    last = tmp_path / "last.ckpt"

    def fit(max_steps: int, lr: float, decay: float) -> list[str]:
        caplog.clear()
        optimizer = partial(torch.optim.AdamW, lr=lr, weight_decay=decay)
        module = TextClassifier(tiny_model, optimizer=optimizer, scheduler=scheduler)
        data = TextClassificationDataModule(tiny_model, batch_size=4, val_fraction=0)
        trainer = quiet_trainer(max_steps=max_steps, enable_checkpointing=False)
        path = last if last.exists() else None
        with caplog.at_level(logging.WARNING):
            trainer.fit(module, data.with_rows(train=tweet_rows), ckpt_path=path, weights_only=True)
        if path is None:
            trainer.save_checkpoint(last)
        return [r.message for r in caplog.records if "optimizer from the checkpoint" in r.message]

    assert fit(2, 1e-3, 0.1) == []
    assert fit(4, 1e-3, 0.1) == []
    (told,) = fit(4, 1e-5, 0.2)
    assert "lr stays 0.001 (not 1e-05), weight_decay stays 0.1 (not 0.2)" in told


def test_overruled__leaves_out_what_a_schedule_has_changed() -> None:
    assert overruled([{"lr": 1e-3}], [{"lr": 1e-3, "initial_lr": 2e-3}]) == []
    assert overruled([{"lr": 0.0, "initial_lr": 2e-3}], [{"lr": 1.0, "initial_lr": 2e-3}]) == []
