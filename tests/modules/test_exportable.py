from pathlib import Path
from typing import Any

import torch

from lit_hf import Predictor, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.model_folder import export_checkpoint
from tests.trainers import quiet_trainer

ROWS = [{"text": f"fire in town {n}", "label": n % 2} for n in range(8)]


class Scaled(TextClassifier):
    """Says nothing of its own arguments but their names."""

    def __init__(
        self,
        model_name: str,
        scale: float,
        marks: list[str] | None = None,
        **settings: Any,  # noqa: ANN401 - of the base class
    ) -> None:
        super().__init__(model_name, **settings)
        self.scale, self.marks = scale, marks


class Fixed(TextClassifier):
    """Takes one argument, and decides all others."""

    def __init__(self, model_name: str, scale: float = 1.0) -> None:
        super().__init__(model_name, scheduler="cosine")
        self.scale = scale


def _trained(module: TextClassifier, path: Path) -> Path:
    data = TextClassificationDataModule(module.model_name, batch_size=4)
    trainer = quiet_trainer(max_steps=1, enable_checkpointing=False, default_root_dir=path)
    trainer.fit(module, data.with_rows(train=ROWS, val=ROWS))
    trainer.save_checkpoint(path / "own.ckpt")
    return path / "own.ckpt"


def test_arguments__of_a_class_of_ones_own_come_back(tiny_model: str, tmp_path: Path) -> None:
    given: Any = {"scale": 0.5, "marks": ["!"], "warmup_ratio": 0.3, "problem_type": "single_label"}
    path = _trained(Scaled(tiny_model, **given), tmp_path)
    loaded = Scaled.load_from_checkpoint(path, weights_only=True)
    assert {name: getattr(loaded, name) for name in given} == given
    export_checkpoint(path, tmp_path / "folder")
    module: Any = Predictor.from_pretrained(tmp_path / "folder").module
    assert (type(module), module.scale, module.marks) == (Scaled, 0.5, ["!"])


def test_arguments__that_a_class_decides_are_not_asked_for_again(
    tiny_model: str, tmp_path: Path
) -> None:
    path = _trained(Fixed(tiny_model, scale=2.0), tmp_path)
    held = torch.load(path, weights_only=True)["hyper_parameters"]
    assert (held["scale"], held["scheduler"]) == (2.0, "cosine")
    loaded = Fixed.load_from_checkpoint(path, weights_only=True)
    assert (loaded.scale, loaded.scheduler) == (2.0, "cosine")
