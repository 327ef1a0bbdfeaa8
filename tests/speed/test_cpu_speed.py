import ctypes
import os
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf import (
    CPUSpeed,
    Predictor,
    PruneLastLayer,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.speed.attention import NAME, QuickDropout
from lit_hf.speed.cpu_speed import keep_kernels, keep_memory
from lit_hf.speed.prepacked_linear import PackedLinear, can_pack
from tests.packed_products import forbid_products, make_up_products
from tests.trainers import quiet_trainer


class _Seen(Callback):
    """What attention and dropout are while the Trainer runs."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def _look(self, module: LightningModule) -> None:
        assert isinstance(module, TextClassifier)
        is_quick = any(isinstance(part, QuickDropout) for part in module.model.modules())
        self.seen.append((module.model.config._attn_implementation, is_quick))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int
    ) -> None:
        self._look(pl_module)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._look(pl_module)


def test_speed__while_the_trainer_runs(
    tiny_model: str,
    tweet_rows: list[dict[str, object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    data = TextClassificationDataModule(tiny_model).with_rows(train=tweet_rows)
    module = TextClassifier(tiny_model, label_names=["0", "1"])
    seen = _Seen()
    trainer = quiet_trainer(
        max_epochs=1,
        enable_checkpointing=False,
        default_root_dir=str(tmp_path),
        callbacks=[CPUSpeed(), seen],
    )
    trainer.fit(module, data)
    assert set(seen.seen) == {(NAME, True)}
    assert int(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) > 1024
    assert module.model.config._attn_implementation == "sdpa"
    seen.seen.clear()
    trainer.validate(module, data, verbose=False)
    assert set(seen.seen) == {(NAME, True)}
    assert not any(isinstance(part, QuickDropout) for part in module.model.modules())


class _Packed(Callback):
    """Whether linear layers are packed, by the moment."""

    def __init__(self) -> None:
        self.seen: dict[str, set[bool]] = defaultdict(set)

    def _look(self, moment: str, module: LightningModule) -> None:
        assert isinstance(module, TextClassifier)
        self.seen[moment].add(any(isinstance(m, PackedLinear) for m in module.model.modules()))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int
    ) -> None:
        self._look("training", pl_module)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._look("batch", pl_module)

    on_test_batch_start = on_predict_batch_start = on_validation_batch_start

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._look("behind", pl_module)


def test_speed__packs_the_weights_of_each_evaluation_anew(
    tiny_model: str,
    tweet_rows: list[dict[str, object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not can_pack():
        make_up_products(monkeypatch)
    rows = {"train": tweet_rows, "val": tweet_rows, "test": tweet_rows, "predict": tweet_rows}
    told = {}
    for kind, callbacks in {"plain": [], "packed": [CPUSpeed(), packed := _Packed()]}.items():
        torch.manual_seed(0)
        data = TextClassificationDataModule(tiny_model, batch_size=4).with_rows(**rows)
        module = TextClassifier(
            tiny_model,
            label_names=["0", "1"],
            config_overrides={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
            optimizer=lambda params: torch.optim.SGD(params, lr=0.5),
        )
        trainer = quiet_trainer(
            max_epochs=3,
            precision="bf16-mixed",
            enable_checkpointing=False,
            default_root_dir=str(tmp_path),
            callbacks=callbacks,
        )
        losses = []
        trainer.fit(module, data)
        losses.append(float(trainer.callback_metrics["val/loss"]))  # of the third epoch's weights
        losses.append(trainer.validate(module, data, verbose=False)[0]["val/loss"])
        losses.append(trainer.test(module, data, verbose=False)[0]["test/loss"])
        trainer.predict(module, data)
        told[kind] = losses
    assert told["packed"] == pytest.approx(told["plain"], rel=0.02)
    assert len({round(loss, 4) for loss in told["packed"]}) == 1
    assert packed.seen == {"training": {False}, "batch": {True}, "behind": {False}}
    assert not any(isinstance(part, PackedLinear) for part in module.modules())


@pytest.mark.filterwarnings("ignore:.*AMP with fp16 is not supported on CPU")  # said on purpose
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "bf16-true"])
def test_speed__leaves_weights_as_they_are_where_none_can_be_packed(
    precision: Any,  # noqa: ANN401 - Lightning's literals
    tiny_model: str,
    tweet_rows: list[dict[str, object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forbid_products(monkeypatch)
    rows = dict.fromkeys(("train", "val", "test", "predict"), tweet_rows)
    data = TextClassificationDataModule(tiny_model, batch_size=4).with_rows(**rows)
    told = []
    for callbacks in ([], [CPUSpeed(), PruneLastLayer(), packed := _Packed()]):
        torch.manual_seed(0)
        module = TextClassifier(tiny_model, ["0", "1"], optimizer=partial(torch.optim.SGD, lr=0.0))
        trainer = quiet_trainer(
            max_epochs=1,
            precision=precision,
            enable_checkpointing=False,
            default_root_dir=str(tmp_path),
            callbacks=callbacks,
        )
        trainer.fit(module, data)
        (validated,) = trainer.validate(module, data, verbose=False)
        (tested,) = trainer.test(module, data, verbose=False)
        predictions = trainer.predict(module, data)
        assert predictions is not None
        rows_told = [row["probability"] for batch in predictions for row in batch]
        told.append([validated["val/loss"], tested["test/loss"], *rows_told])
    assert told[1] == pytest.approx(told[0], rel=0.02)
    assert set().union(*packed.seen.values()) == {False}


def test_predictor__where_no_weights_can_be_packed(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_products(monkeypatch)
    predictor = Predictor.from_pretrained(trained / "pretrained")
    texts = ["fire in the old town", "a song"]
    wanted = predictor(texts)
    predictor.module.bfloat16()
    for with_autocast in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=with_autocast):
            found = predictor(texts)
        assert [row["prediction"] for row in found] == [row["prediction"] for row in wanted]


def test_speed__of_a_compiled_model(
    tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> None:
    data = TextClassificationDataModule(tiny_model, batch_size=4)
    data.with_rows(train=tweet_rows[:8], val=tweet_rows[:8])
    losses = []
    for is_compiled in (False, True):
        torch.manual_seed(0)
        module = TextClassifier(tiny_model, label_names=["0", "1"])
        if is_compiled:
            module.model.compile(backend="eager")  # traced as for any backend, and quick
        trainer = quiet_trainer(
            max_epochs=1,
            precision="bf16-mixed",
            enable_checkpointing=False,
            default_root_dir=str(tmp_path),
            callbacks=[CPUSpeed(), PruneLastLayer()],
        )
        trainer.fit(module, data)
        losses.append(float(trainer.callback_metrics["val/loss"]))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_kernels__as_many_as_the_user_has_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    keep_kernels()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"


class _Library:
    """A C library whose mallopt knows some settings; it keeps those that it is told."""

    def __init__(self, known: set[int]) -> None:
        self.known = known
        self.told: dict[int, int] = {}

    def mallopt(self, setting: int, value: int) -> int:
        self.told[setting] = value
        return int(setting in self.known)


@pytest.fixture
def glibc(monkeypatch: pytest.MonkeyPatch) -> _Library:
    """The C library of this process, made up."""
    library = _Library({-1, -2, -4})
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    return library


def test_memory__is_kept_by_settings_of_glibc(glibc: _Library) -> None:
    """No blocks of their own from the system (M_MMAP_MAX, -4), no trimming (-1), more at once."""
    assert keep_memory()
    assert glibc.told[-4] == 0
    assert glibc.told[-1] == 2**31 - 1
    assert glibc.told[-2] >= 2**20


def test_memory__is_left_to_libraries_that_know_no_such_settings(
    glibc: _Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    glibc.known.clear()
    assert not keep_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())  # as musl, which has no mallopt
    assert not keep_memory()

    def fail(_: object) -> NoReturn:
        raise OSError("dynamic loading not supported")

    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert not keep_memory()


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_memory__is_left_to_other_systems(
    platform: str, glibc: _Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    assert not keep_memory()
    assert not glibc.told
