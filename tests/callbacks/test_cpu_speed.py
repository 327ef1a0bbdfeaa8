import os
import resource
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf import CPUSpeed, FirstTokenOnly, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.cpu_speed import keep_kernels
from lit_hf.modules.cpu import NAME, QuickDropout
from lit_hf.modules.packed import PackedLinear, can_pack
from tests.trainers import quiet_trainer

PAGES = """
import resource, sys
import torch
from lit_hf.callbacks.cpu_speed import keep_memory

if sys.argv[1] == "keep":
    assert keep_memory()
def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    torch.zeros(10_000_000)
before = faults()
for _ in range(3):
    torch.zeros(10_000_000)  # 40 MB, 10,000 pages; glibc keeps blocks below 32 MiB by itself
print(faults() - before)
"""


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


@pytest.mark.skipif(not can_pack(), reason="this processor has no packed weights")
def test_speed__packs_the_weights_of_each_evaluation_anew(
    tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> None:
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
            callbacks=[CPUSpeed(), FirstTokenOnly()],
        )
        trainer.fit(module, data)
        losses.append(float(trainer.callback_metrics["val/loss"]))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_kernels__as_many_as_the_user_has_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    keep_kernels()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_memory__is_kept_for_the_next_step() -> None:
    counts = {}
    for how in ("keep", "leave"):
        run = [sys.executable, "-c", PAGES, how]
        counts[how] = int(subprocess.run(run, capture_output=True, check=True, text=True).stdout)
    page = resource.getpagesize()
    assert counts["leave"] > 3 * 40_000_000 / page * 0.5  # each time all pages anew
    assert counts["keep"] < counts["leave"] / 3
