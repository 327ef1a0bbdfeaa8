from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch.optim import SGD, AdamW

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.resume_guard import ResumeGuard
from lit_hf.checkpointing.reader import read_checkpoint
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]
Resume = Callable[..., pl.Trainer]
OVERRIDES = {"initializer_range": 0.4}  # as `fit` trains


@pytest.fixture
def resume(
    fit: Fit, tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> Resume:
    """Trains one epoch, then resumes with other settings."""

    def run(
        guard: ResumeGuard,
        data: dict[str, Any] | None = None,
        module: dict[str, Any] | None = None,
        callbacks: tuple[pl.Callback, ...] = (),
        **settings: Any,  # noqa: ANN401 - of the Trainer
    ) -> pl.Trainer:
        fit([LastCheckpoint(), ResumeGuard()], max_epochs=1)
        given = {"batch_size": 4, "val_fraction": 0, "label_names": ["no", "yes"], **(data or {})}
        rows = TextClassificationDataModule(tiny_model, **given)
        trainer = quiet_trainer(
            default_root_dir=tmp_path,
            callbacks=[LastCheckpoint(), guard, *callbacks],
            **{"max_epochs": 2, **settings},
        )
        last = tmp_path / "checkpoints" / "last.ckpt"
        trainer.fit(
            TextClassifier(tiny_model, **{"config_overrides": OVERRIDES, **(module or {})}),
            rows.with_rows(train=tweet_rows, val=tweet_rows),
            ckpt_path=last,
            weights_only=True,
        )
        return trainer

    return run


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"data": {"batch_size": 2}}, "data.batch_size was 4, is 2"),
        ({"data": {"seed": 5}}, "data.seed was 0, is 5"),
        ({"data": {"max_length": 6}}, "content of the training rows has"),
        ({"accumulate_grad_batches": 2}, "accumulate_grad_batches was 1, is 2"),
        ({"precision": "bf16-mixed"}, r"precision was 32-true \(Precision\), is bf16-mixed"),
        ({"gradient_clip_val": 1.0}, "gradient_clip_val was None, is 1.0"),
        ({"callbacks": (GradientAccumulationScheduler({9: 2}),)}, "was None, is GradientAccum"),
        ({"module": {"config_overrides": {"hidden_dropout_prob": 0.3}}}, "model.config was"),
        ({"module": {"optimizer": lambda p: SGD(p, lr=1e-3)}}, "model.optimizer was AdamW, is SGD"),
        ({"module": {"scheduler": "cosine"}}, "model.scheduler was linear, is cosine"),
    ],
)
def test_another_training__is_refused(
    resume: Resume, change: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=f"{expected}.*--allow-changed"):
        resume(ResumeGuard(), **change)


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint")
def test_another_training__resumes_with_a_warning_where_that_is_asked(
    resume: Resume, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = resume(ResumeGuard("warn"), data={"batch_size": 2})
    assert trainer.global_step > 4
    assert "resuming as another training: data.batch_size was 4, is 2" in caplog.text
    about: Any = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["lit_hf"]
    assert about["fingerprint"]["data.batch_size"] == 2
    assert about["task"] == "text_classification"


def test_same_training__resumes_with_what_may_change(
    resume: Resume, caplog: pytest.LogCaptureFixture
) -> None:
    changed = {"optimizer": lambda params: AdamW(params, lr=1e-4)}
    trainer = resume(ResumeGuard(), {"num_workers": 1}, changed, max_epochs=3)
    assert trainer.global_step == 12
    assert "lr stays 0.001 (not 0.0001)" in caplog.text


def test_settings__of_the_command_that_decide_weights_are_refused(resume: Resume) -> None:
    head, free = "model.head.dropout is 0.3, was 0.1", "model.num_best is 2, was 20"
    with pytest.raises(InputError, match=head) as error:
        resume(ResumeGuard(settings=[head, free, "data.max_length is 6, was 64"]))
    assert "num_best" not in str(error.value)
    assert "data.max_length is 6" in str(error.value)


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint")
def test_checkpoint__without_a_fingerprint_is_taken_with_a_warning(
    fit: Fit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, module, data = fit([LastCheckpoint()])
    trainer = quiet_trainer(max_epochs=1, default_root_dir=tmp_path, callbacks=[ResumeGuard()])
    last = tmp_path / "checkpoints" / "last.ckpt"
    trainer.fit(module, data, ckpt_path=last, weights_only=True)
    assert "no fingerprint" in caplog.text
