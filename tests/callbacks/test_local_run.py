from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lit_hf import InputError, ResultsWriter, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.local_run import check_local_run


def test_address__in_place_of_a_folder_is_refused(
    tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"text": "fire in town", "label": n % 2} for n in range(4)]
    data = TextClassificationDataModule(tiny_model).with_rows(rows, rows)
    trainer = pl.Trainer(
        accelerator="cpu", default_root_dir="memory://run", callbacks=ResultsWriter(), logger=False
    )
    with pytest.raises(InputError, match="`default_root_dir` memory:"):
        trainer.validate(TextClassifier(tiny_model), data)
    assert not list(tmp_path.iterdir())
    for callback in (ModelCheckpoint("memory://best"), ModelCheckpoint()):
        trainer = pl.Trainer(
            accelerator="cpu",
            default_root_dir=tmp_path,
            callbacks=callback,
            logger=CSVLogger("memory://logs"),
        )
        with pytest.raises(InputError, match=r"`(dirpath|save_dir)` memory:"):
            check_local_run(trainer)
