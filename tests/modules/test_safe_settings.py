from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch.loggers import CSVLogger

from lit_hf import Predictor, TextClassifier
from lit_hf.callbacks.model_folder import export_checkpoint
from tests.trainers import quiet_trainer

SECRET = "s3cr3t"


class Listed(TextClassifier):
    """Takes a list of words from an address."""

    def __init__(self, model_name: str, words: str, **settings: object) -> None:
        super().__init__(model_name, **settings)  # type: ignore[arg-type]  # as they came
        self.words = words
        self.save_hyperparameters("words")


def test_module__of_its_own_arguments_shows_no_keys(tiny_model: str, tmp_path: Path) -> None:
    import lightning.pytorch as pl

    from lit_hf import TextClassificationDataModule

    address = f"https://example.org/words?sig={SECRET}"
    rows = [{"text": "fire in town", "label": n % 2} for n in range(8)]
    module = Listed(tiny_model, words=address)
    data = TextClassificationDataModule(tiny_model, batch_size=4).with_rows(train=rows, val=rows)
    trainer = pl.Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=CSVLogger(tmp_path),
        max_epochs=1,
        enable_progress_bar=False,
    )
    trainer.fit(module, data)
    assert module.words == module.hparams["words"] == address
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "hparams.yaml" for path in files)
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    held = torch.load(tmp_path / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert held["words"] == "https://example.org/words?sig=***"
    loaded = Listed.load_from_checkpoint(tmp_path / "last.ckpt", words=address)
    assert loaded.words == address


class _Scaled(TextClassifier):
    """Keeps an argument under another name, and takes another out of those that it hands on."""

    def __init__(self, model_name: str, scale: float = 1.0, **settings: Any) -> None:  # noqa: ANN401 - as they came
        self._shift = settings.pop("shift", 0.0)
        super().__init__(model_name, **settings)
        self._factor = scale


def test_arguments__under_no_name_of_theirs_come_back(tiny_model: str, tmp_path: Path) -> None:
    own: dict[str, Any] = {"scale": 3.0, "shift": 0.5}
    module = _Scaled(tiny_model, label_names=["no", "yes"], pretrained=False, **own)
    trainer = quiet_trainer(default_root_dir=tmp_path)
    trainer.strategy.connect(module)
    module.configure_model()
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = _Scaled.load_from_checkpoint(tmp_path / "last.ckpt")
    assert (loaded._factor, loaded._shift) == (3.0, 0.5)
    folder = export_checkpoint(tmp_path / "last.ckpt", tmp_path / "folder")
    asked = cast("_Scaled", Predictor.from_pretrained(folder).module)
    assert (asked._factor, asked._shift) == (3.0, 0.5)
