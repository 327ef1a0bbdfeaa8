"""Lightning's averages of the weights: validated, kept, exported, scored, and gone on with."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import Tensor

from lit_hf import (
    ImageClassificationDataModule,
    ImageClassifier,
    InputError,
    ResumeGuard,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.reader import read_checkpoint
from tests.images import NAMES, drawn
from tests.stopping import StopBefore
from tests.trainers import quiet_trainer

DECAY = 0.8
# Lightning's remark that averages do not go with sharded models; the command leaves it out.
quiet = pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback")


class ByHand(Callback):
    """The averages, worked out once more from the weights after each step."""

    def __init__(self) -> None:
        self.average: dict[str, Tensor] = {}

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        for name, value in pl_module.state_dict().items():
            before = self.average.get(name, value)
            self.average[name] = DECAY * before + (1 - DECAY) * value


def _fit(
    model: str,
    folder: Path,
    *callbacks: Callback,
    ckpt_path: Path | None = None,
    has_averages: bool = True,
) -> None:
    """Train on images of three classes, whose names only the data knows."""
    averages = [EMAWeightAveraging(decay=DECAY)] if has_averages else []
    pl.seed_everything(0, verbose=False)
    names = [*NAMES, "other"]
    rows = [{"image": drawn(n), "label": names[n % 3]} for n in range(24)]
    data = ImageClassificationDataModule(model, batch_size=4, val_fraction=0.25)
    trainer = quiet_trainer(
        max_epochs=3,
        default_root_dir=folder,
        callbacks=[*averages, LastCheckpoint(), *callbacks],
    )
    trainer.fit(
        ImageClassifier(model), data.with_rows(train=rows), ckpt_path=ckpt_path, weights_only=True
    )


@quiet
def test_averages__are_kept_as_the_weights_and_a_stopped_run_goes_on_with_them(
    tiny_vit: str, tmp_path: Path
) -> None:
    by_hand = ByHand()
    _fit(tiny_vit, tmp_path / "whole", by_hand)
    whole: Any = read_checkpoint(tmp_path / "whole" / "checkpoints" / "last.ckpt")
    assert whole["state_dict"]["model.classifier.bias"].shape == (3,)
    assert not torch.equal(
        whole["state_dict"]["model.classifier.bias"],
        whole["current_model_state"]["model.classifier.bias"],
    )
    for name, value in by_hand.average.items():
        torch.testing.assert_close(whole["state_dict"][name], value)
    with pytest.raises(SystemExit):
        _fit(tiny_vit, tmp_path / "parts", StopBefore(1))
    last = tmp_path / "parts" / "checkpoints" / "last.ckpt"
    assert int(str(read_checkpoint(last)["global_step"])) == 5
    _fit(tiny_vit, tmp_path / "parts", ckpt_path=last)
    parts: Any = read_checkpoint(last)
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(parts[part][name], whole[part][name]) for name in whole[part])


@quiet
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.filterwarnings("ignore:The checkpoint was not created with WeightAveraging")
def test_averages__that_are_left_out_or_added_in_a_resumed_run(
    tiny_vit: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused by ResumeGuard; else the trained weights go on, not their averages."""
    _fit(tiny_vit, tmp_path / "plain", ResumeGuard(), has_averages=False)
    with pytest.raises(SystemExit):
        _fit(tiny_vit, tmp_path / "parts", StopBefore(1), ResumeGuard())
    last = tmp_path / "parts" / "checkpoints" / "last.ckpt"
    with pytest.raises(InputError, match=r"was EMAWeightAveraging\(.*\), is None"):
        _fit(tiny_vit, tmp_path / "a", ResumeGuard(), ckpt_path=last, has_averages=False)
    assert "trained weights" not in caplog.text
    _fit(tiny_vit, tmp_path / "b", ckpt_path=last, has_averages=False)
    assert "continues with the trained weights" in caplog.text
    plain, mixed = (
        read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("plain", "b")
    )
    torch.testing.assert_close(mixed["state_dict"], plain["state_dict"], rtol=0, atol=0)
    assert "averaged_by" not in mixed["lit_hf"]
    last = tmp_path / "plain" / "checkpoints" / "last.ckpt"
    with pytest.raises(InputError, match=r"was None, is EMAWeightAveraging\("):
        _fit(tiny_vit, tmp_path / "c", ResumeGuard(), ckpt_path=last)
