from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lit_hf import (
    ExportPretrained,
    ExtractiveQA,
    GenerativeQA,
    HFModule,
    ImageClassifier,
    InputError,
    PredictionWriter,
    Predictor,
    ResultsWriter,
    SampleLogger,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.confusion import ConfusionMatrixWriter
from lit_hf.callbacks.export import export_checkpoint
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.run_dir_lock import RunDirLock
from tests.tasks import Task

KINDS = {
    "fit": (LastCheckpoint, ResultsWriter, SampleLogger, ExportPretrained, RunDirLock),
    "validate": (ResultsWriter, ConfusionMatrixWriter, SampleLogger),
    "test": (ResultsWriter, ConfusionMatrixWriter),
    "predict": (PredictionWriter,),
}


@pytest.mark.parametrize("root", ["memory://run", "file:///tmp/run"])
@pytest.mark.parametrize("verb", KINDS)
def test_writer__refuses_a_run_folder_that_is_an_address(
    verb: str, root: str, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"text": "fire in town", "label": n % 2} for n in range(4)]
    data = TextClassificationDataModule(tiny_model).with_rows(rows, rows, rows, rows)
    for kind in KINDS[verb]:
        trainer = pl.Trainer(
            accelerator="cpu",
            default_root_dir=root,
            callbacks=kind(),
            logger=False,
            enable_checkpointing=kind is LastCheckpoint,
            max_epochs=1,
        )
        with pytest.raises(InputError, match=f"`default_root_dir` {root.partition('/')[0]}"):
            getattr(trainer, verb)(TextClassifier(tiny_model), data)
    assert not list(tmp_path.iterdir())


def test_checkpoints__that_are_an_address_are_refused(tmp_path: Path) -> None:
    logger = CSVLogger("memory://logs")
    for callback in (ModelCheckpoint("memory://best"), ModelCheckpoint()):
        trainer = pl.Trainer(
            accelerator="cpu", default_root_dir=tmp_path, callbacks=callback, logger=logger
        )
        with pytest.raises(InputError, match=r"`(dirpath|save_dir)` memory:"):
            check_local_run(trainer)
    check_local_run(pl.Trainer(accelerator="cpu", default_root_dir=tmp_path, logger=False))


def test_data__that_is_an_address_is_refused(any_task: Task) -> None:
    files = {f"{split}_file": "s3://b/x.csv" for split in ("train", "val")}
    others = {"test_file": ["a.csv", "hdfs://b/*.csv"], "predict_file": Path("gs://b/x.csv")}
    for setting, value in {**files, **others, "dataset": "hf://datasets/org/name"}.items():
        with pytest.raises(InputError, match=f"`{setting}` "):
            any_task.data(**{setting: value})


@pytest.mark.parametrize("kind", [TextClassifier, ExtractiveQA, GenerativeQA, ImageClassifier])
def test_model__that_is_an_address_is_refused(kind: type[HFModule]) -> None:
    with pytest.raises(InputError, match="`model_name` s3://b/model: wanted is a path"):
        kind("s3://b/model").model  # noqa: B018 - loads it
    for name in ("s3://b/model", "s3://b/last.ckpt"):
        with pytest.raises(InputError, match=f"`path` {name}: wanted is a path"):
            Predictor.from_pretrained(name)
        with pytest.raises(InputError, match=f"`checkpoint` {name}: wanted is a path"):
            export_checkpoint(name, "somewhere")
    with pytest.raises(InputError, match="`folder` s3://b/export: wanted is a path"):
        export_checkpoint("last.ckpt", "s3://b/export")
