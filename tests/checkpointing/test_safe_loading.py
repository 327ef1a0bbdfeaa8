import sys
from collections.abc import Callable
from fractions import Fraction
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


def test_load__of_a_strange_checkpoint_is_one_error(trained: Path, tmp_path: Path) -> None:
    content = torch.load(next((trained / "checkpoints").glob("*.ckpt")), weights_only=True)
    for name, value in (("optimizer_states", [3]), ("global_step", "many")):
        torch.save({**content, name: value}, tmp_path / "a.ckpt")
        with pytest.raises(InputError, match=r"a\.ckpt"):
            TextClassifier.load_from_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="there is no such checkpoint file"):
        TextClassifier.load_from_checkpoint(tmp_path / "none.ckpt")


def test_trainer__looks_through_a_checkpoint_before_it_reads_it(
    fit: Callable[..., Any], tmp_path: Path
) -> None:
    trainer, module, data = fit()
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    content = torch.load(path, weights_only=True)
    torch.save({**content, "x": torch.zeros(1).expand(10**9)}, path)
    for verb in ("fit", "validate", "test", "predict"):
        with pytest.raises(InputError, match=r"a\.ckpt: damaged.*larger than the file"):
            getattr(trainer, verb)(module, data, ckpt_path=path)
    torch.save({**content, "x": Fraction(1, 3)}, path)
    with pytest.raises(InputError, match="other objects"):
        trainer.validate(module, data, ckpt_path=path, verbose=False)
    trainer.validate(module, data, ckpt_path=path, weights_only=False, verbose=False)  # was asked
