import warnings
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpoints import best_of, read_checkpoint


def test_last_checkpoint__is_written_also_when_the_score_does_not_rise(
    tmp_path: Path, tiny_model: str, tweet_rows: list[dict[str, object]]
) -> None:
    pl.seed_everything(0, verbose=False)
    data = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(
        train=tweet_rows, val=tweet_rows
    )
    module = TextClassifier(tiny_model, label_names=["no", "yes"])
    best = ModelCheckpoint(
        tmp_path / "checkpoints", monitor="val/loss", mode="max", enable_version_counter=False
    )  # the loss falls, so the first epoch stays the "best"
    trainer = pl.Trainer(
        max_epochs=3,
        default_root_dir=tmp_path,
        callbacks=[best, LastCheckpoint()],
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, data)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["epoch=0-step=1.ckpt", "last.ckpt"]
    last = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert int(str(last["global_step"])) == 3
    found = best_of(tmp_path / "checkpoints")
    assert found is not None
    assert found.name == "epoch=0-step=1.ckpt"
