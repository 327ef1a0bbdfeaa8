import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_hf import InputError, TextClassificationDataModule, TextClassifier


def _write(path: Path, tiny_model: str, group: str) -> Path:
    """A checkpoint that names LightningCLI's function, and a class for it to import."""
    settings = {
        "model_name": tiny_model,
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
        "optimizer": {"class_path": "never_imported.Optimizer"},
    }
    version = {"pytorch-lightning_version": "2.6.6"}
    torch.save({**version, "state_dict": {}, "global_step": 1, group: settings}, path)
    return path


@pytest.mark.parametrize(
    ("kind", "group"),
    [
        (TextClassifier, "hyper_parameters"),
        (TextClassificationDataModule, "datamodule_hyper_parameters"),
    ],
)
def test_load__imports_no_class_that_a_checkpoint_names(
    kind: Any,  # noqa: ANN401 - a class of Lightning
    group: str,
    tiny_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "never_imported.py").write_text("class Optimizer: ...\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = _write(tmp_path / "a.ckpt", tiny_model, group)
    with pytest.raises(InputError, match=r"a\.ckpt|another model"):
        kind.load_from_checkpoint(path)
    assert "never_imported" not in sys.modules
