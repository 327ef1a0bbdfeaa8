import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf import CPUSpeed, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.cpu_speed import keep_kernels
from lit_hf.modules.cpu import NAME, QuickDropout
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
    torch.zeros(20_000_000)
before = faults()
for _ in range(5):
    torch.zeros(20_000_000)  # 80 MB, 20,000 pages
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
    assert counts["leave"] > 5 * 80_000_000 / page * 0.5  # each time all pages anew
    assert counts["keep"] < counts["leave"] / 3
