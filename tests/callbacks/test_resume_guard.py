import logging
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
from lit_hf.pretrained.trained_names import names_of
from tests.trainers import quiet_trainer

Run = tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]
Fit = Callable[..., Run]


@pytest.fixture
def go_on(
    fit: Fit, tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> Callable[..., pl.Trainer]:
    """Trains one epoch, then goes on with other settings."""

    def run(
        same: ResumeGuard,
        data: dict[str, Any] | None = None,
        callbacks: tuple[pl.Callback, ...] = (),
        module: dict[str, Any] | None = None,
        **settings: Any,  # noqa: ANN401 - of the Trainer
    ) -> pl.Trainer:
        # Classes of the callbacks that count: they keep a state of their own.
        fit([LastCheckpoint(), ResumeGuard(), *callbacks], max_epochs=1, max_steps=-1)
        rows = TextClassificationDataModule(
            tiny_model,
            **{"batch_size": 4, "val_fraction": 0, "label_names": ["no", "yes"], **(data or {})},
        ).with_rows(train=tweet_rows, val=tweet_rows)
        trainer = quiet_trainer(
            default_root_dir=tmp_path,
            callbacks=[LastCheckpoint(), same, *callbacks],
            **{"max_epochs": 1, **settings},
        )
        last = str(tmp_path / "checkpoints" / "last.ckpt")
        kind = TextClassifier(tiny_model, **(module or {}))
        trainer.fit(kind, rows, ckpt_path=last, weights_only=True)
        return trainer

    return run


def test_checkpoint__holds_the_fingerprint_beside_the_rest(fit: Fit, tmp_path: Path) -> None:
    fit([LastCheckpoint(), ResumeGuard()])
    about: Any = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["lit_hf"]
    assert about["task"] == "text_classification"
    assert about["fingerprint"]["data.batch_size"] == 4
    assert about["fingerprint"]["number of training rows"] == 16


@pytest.mark.parametrize(
    ("data", "settings", "wanted"),
    [
        ({"batch_size": 2}, {}, "data.batch_size was 4, is 2"),
        ({"seed": 5}, {}, "data.seed was 0, is 5"),
        ({"max_length": 6}, {}, "content of the training rows was"),
        ({}, {"accumulate_grad_batches": 2}, "accumulate_grad_batches was 1, is 2"),
        ({}, {"precision": "bf16-mixed"}, "precision was 32-true, is bf16-mixed"),
        ({}, {"gradient_clip_val": 1.0}, "gradient_clip_val was None, is 1.0"),
        (
            {},
            {"gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"},
            "gradient_clip_algorithm was norm, is value",
        ),
        ({}, {"overfit_batches": 2}, "overfit_batches was 0.0, is 2"),
    ],
)
def test_training__that_is_another_is_refused(
    go_on: Callable[..., pl.Trainer],
    data: dict[str, Any],
    settings: dict[str, Any],
    wanted: str,
) -> None:
    with pytest.raises(InputError, match=wanted) as told:
        go_on(ResumeGuard(), data, **settings)
    assert "--allow-changed" in str(told.value)


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        ({"config_overrides": {"hidden_dropout_prob": 0.3}}, "model.config_overrides was"),
        ({"optimizer": lambda params: AdamW(params, lr=1e-4)}, "model.optimizer.lr was"),
        ({"optimizer": lambda params: SGD(params, lr=1e-3)}, "model.optimizer.class was AdamW"),
        ({"scheduler": "cosine"}, "model.scheduler was linear, is cosine"),
        ({"warmup_ratio": 0.3}, "model.warmup_ratio was 0.1, is 0.3"),
    ],
)
def test_training__of_another_module_is_refused(
    go_on: Callable[..., pl.Trainer], module: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(InputError, match=wanted):
        go_on(ResumeGuard(), module=module)


def test_training__of_other_settings_of_the_command_is_refused(
    go_on: Callable[..., pl.Trainer],
) -> None:
    """Those of the model that decide weights; such of the rows are told beside what they change."""
    head, free = "model.head.dropout is 0.3, was 0.1", "model.num_best is 2, was 20"
    same = ResumeGuard(settings=[head, free, "data.max_length is 6, was 64"])
    with pytest.raises(InputError, match=head) as told:
        go_on(same)
    assert "num_best" not in str(told.value)
    assert "data.max_length is 6" in str(told.value)


def test_training__goes_on_with_the_classes_as_its_checkpoint_writes_them(
    fit: Fit,
    tiny_model: str,
    tweet_rows: list[dict[str, object]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [{**row, "label": f"0{int(str(row['label'])) + 1}"} for row in tweet_rows]
    split = {"train": rows, "val": rows}
    fit([LastCheckpoint(), ResumeGuard()], data={**split, "label_names": ["1", "2"]})
    data = TextClassificationDataModule(tiny_model, batch_size=4, val_fraction=0)
    module = TextClassifier(tiny_model)
    last = str(tmp_path / "checkpoints" / "last.ckpt")
    callbacks = [LastCheckpoint(), ResumeGuard()]
    trainer = quiet_trainer(max_epochs=2, callbacks=callbacks, default_root_dir=tmp_path)
    trainer.fit(module, data.with_rows(**split), ckpt_path=last, weights_only=True)
    assert data.label_names == ["01", "02"]
    assert module.label_names == names_of(module.model.config) == ["1", "2"]
    assert caplog.text.count("writes the classes '01', '02' as '1', '2'") == 1
    again = TextClassifier.load_from_checkpoint(last, map_location="cpu", weights_only=True)
    assert again.label_names == again.hparams["label_names"] == ["1", "2"]
    assert caplog.text.count("writes the classes") == 1


def test_training__that_is_another_goes_on_where_that_is_wanted(
    go_on: Callable[..., pl.Trainer], caplog: pytest.LogCaptureFixture
) -> None:
    trainer = go_on(ResumeGuard("warn"), {"batch_size": 2}, max_epochs=2)
    assert trainer.global_step == 4 + 8
    assert "going on as another training: data.batch_size was 4, is 2." in caplog.text


def test_training__with_more_epochs_is_the_same_and_says_what_that_means(
    go_on: Callable[..., pl.Trainer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lit_hf")
    trainer = go_on(ResumeGuard(settings=["data.x is 1, was 2"]), {"num_workers": 1}, max_epochs=2)
    assert trainer.global_step == 8
    assert caplog.text.count("from here on the learning rate is") == 1
    assert "begun with other settings: data.x is 1, was 2." in caplog.text
    # as in a training of 8 steps from the beginning, the rate of step 6 of 8 being that
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


def test_training__whose_callbacks_change_the_trainer_is_the_same(
    go_on: Callable[..., pl.Trainer],
) -> None:
    plan = GradientAccumulationScheduler({0: 2})
    assert go_on(ResumeGuard(), callbacks=(plan,), max_epochs=2).global_step == 4


def test_checkpoint__without_a_fingerprint_is_told(
    fit: Fit, tmp_path: Path, tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, _, data = fit([LastCheckpoint()])
    last = str(tmp_path / "checkpoints" / "last.ckpt")
    trainer = quiet_trainer(
        max_epochs=2, default_root_dir=tmp_path, callbacks=[LastCheckpoint(), ResumeGuard()]
    )
    trainer.fit(TextClassifier(tiny_model), data, ckpt_path=last, weights_only=True)
    assert "does not tell what it was trained with" in caplog.text
