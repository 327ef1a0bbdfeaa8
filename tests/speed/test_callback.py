import ctypes
import os
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from lit_hf import CPUSpeed, PruneLastLayer, TextClassificationDataModule, TextClassifier
from lit_hf.speed.attention import NAME
from lit_hf.speed.callback import keep_kernels, keep_memory
from lit_hf.speed.dropout import QuickDropout
from lit_hf.speed.prepacked_linear import can_pack
from tests.packed_products import forbid_products, make_up_products
from tests.stopping import StopBefore
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]


class _Seen(Callback):
    """How the model computes at each batch: its attention, dropout, packed weights and widths."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str, bool, bool]] = set()

    def _look(
        self, trainer: Trainer, pl_module: LightningModule, *args: object, **kwargs: object
    ) -> None:
        assert isinstance(pl_module, TextClassifier)
        parts = list(pl_module.model.modules())
        stage = str(trainer.state.stage and trainer.state.stage.value)
        is_quick = any(isinstance(part, QuickDropout) for part in parts)
        is_packed = any("forward" in vars(part) for part in parts)
        self.seen.add((stage, pl_module.model.config._attn_implementation, is_quick, is_packed))

    on_train_batch_start = on_validation_batch_start = on_test_batch_start = _look
    on_predict_batch_start = on_fit_end = _look


def _run(
    model: str, rows: Rows, folder: Path, *callbacks: Callback, compiled: bool = False
) -> list[float]:
    """Train and evaluate; losses and probabilities."""
    torch.manual_seed(0)
    splits = {"train": rows, "val": rows, "test": rows, "predict": rows}
    data = TextClassificationDataModule(model, batch_size=4).with_rows(**splits)
    module = TextClassifier(
        model,
        label_names=["0", "1"],
        config_overrides={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        optimizer=lambda params: torch.optim.SGD(params, lr=0.5),
    )
    if compiled:
        module.model.compile(backend="eager")  # traced as for any backend, and quick
    trainer = quiet_trainer(
        max_epochs=2,
        precision="bf16-mixed",
        enable_checkpointing=False,
        default_root_dir=str(folder),
        callbacks=list(callbacks),
    )
    trainer.fit(module, data)
    found = [float(trainer.callback_metrics["val/loss"])]
    found.append(trainer.test(module, data, verbose=False)[0]["test/loss"])
    predictions = trainer.predict(module, data)
    assert predictions is not None
    assert module.model.config._attn_implementation == "sdpa"
    assert not any(isinstance(part, QuickDropout) for part in module.model.modules())
    assert not any("forward" in vars(part) for part in module.model.modules())
    return [*found, *(row["probability"] for batch in predictions for row in batch)]


@pytest.mark.parametrize("products", ["own", "none"])
def test_speed__same_numbers_while_the_trainer_runs_and_undone(
    products: str,
    tiny_model: str,
    tweet_rows: Rows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    if products == "none":
        forbid_products(monkeypatch)
    elif not can_pack():
        make_up_products(monkeypatch)
    plain = _run(tiny_model, tweet_rows, tmp_path)
    found = _run(tiny_model, tweet_rows, tmp_path, CPUSpeed(), PruneLastLayer(), seen := _Seen())
    assert found == pytest.approx(plain, rel=0.02)
    stages = ("validate", "test", "predict")
    evaluated = {(stage, NAME, True, products == "own") for stage in stages}
    assert seen.seen == {
        ("train", NAME, True, False),
        *evaluated,
        ("sanity_check", *max(evaluated)[1:]),
    }
    assert int(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) > 1024


def test_speed__of_a_compiled_model(tiny_model: str, tweet_rows: Rows, tmp_path: Path) -> None:
    speed = [CPUSpeed(), PruneLastLayer()]
    plain = _run(tiny_model, tweet_rows[:8], tmp_path, *speed)
    found = _run(tiny_model, tweet_rows[:8], tmp_path, CPUSpeed(), PruneLastLayer(), compiled=True)
    assert found == pytest.approx(plain, rel=0.02)


def test_speed__is_undone_where_a_run_is_interrupted_and_other_modules_are_left_alone(
    tiny_model: str, tweet_rows: Rows, tmp_path: Path
) -> None:
    data = TextClassificationDataModule(tiny_model).with_rows(train=tweet_rows)
    module = TextClassifier(tiny_model, label_names=["0", "1"])
    callbacks = [CPUSpeed(), StopBefore(epoch=1)]
    trainer = quiet_trainer(
        max_epochs=2, default_root_dir=str(tmp_path), callbacks=callbacks, limit_train_batches=1
    )
    with pytest.raises(SystemExit):
        trainer.fit(module, data)
    assert module.model.config._attn_implementation == "sdpa"
    quiet_trainer(fast_dev_run=True, callbacks=[CPUSpeed()]).fit(BoringModel())


def test_memory_and_kernels__as_the_system_and_the_user_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    keep_kernels()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"
    settings: dict[int, int] = {}

    class Library:
        """A C library that notes its settings."""

        mallopt = settings.__setitem__

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library)
    for platform, num_settings in (("darwin", 0), ("win32", 0), ("linux", 3)):
        monkeypatch.setattr("sys.platform", platform)
        keep_memory()
        assert len(settings) == num_settings
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())  # musl, which has no mallopt
    keep_memory()
