from pathlib import Path

import pytest
import torch

from lit_hf import InputError
from lit_hf.callbacks import same_start
from lit_hf.callbacks.same_start import check_same_start
from tests.trainers import quiet_trainer


def test_processes__that_start_differently_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"state_dict": {}, "global_step": 3}, path := tmp_path / "last.ckpt")
    trainer = quiet_trainer()
    check_same_start(trainer)
    with pytest.raises(InputError, match="no disk"):
        check_same_start(trainer, "no disk")
    trainer.ckpt_path = path
    monkeypatch.setattr(same_start, "gather", lambda own: [own, "no checkpoint"])
    with pytest.raises(InputError, match=r"last\.ckpt of step 3, process 1 from no checkpoint"):
        check_same_start(trainer)
