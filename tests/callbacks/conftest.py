"""What the tests of callbacks share: runs on two real processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys, warnings
from pathlib import Path

import lightning.pytorch as pl
import torch

from lit_hf import (
    ConfusionMatrixWriter, ExportPretrained, FreezeBackbone, PredictionWriter, ResultsWriter,
    SampleLogger, TextClassificationDataModule, TextClassifier,
)

MODEL, FOLDER, ROWS = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])


def data(rows):
    return TextClassificationDataModule(
        MODEL, batch_size=2, eval_batch_size=1, val_fraction=0, id_column="id",
        label_names=["no", "yes"],
    ).with_rows(train=rows, val=rows, test=rows, predict=rows)


def trainer(name, *callbacks, **settings):
    return pl.Trainer(
        accelerator="cpu", strategy="ddp_find_unused_parameters_true", devices=2, logger=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=FOLDER / name,
        callbacks=list(callbacks), log_every_n_steps=1, **settings,
    )


class Weights(pl.Callback):
    found = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.found.append({k: v.clone() for k, v in pl_module.state_dict().items()})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    pl.seed_everything(0, verbose=False)
    module = TextClassifier(MODEL, label_names=["no", "yes"], warmup_ratio=0.0)
    samples, weights = SampleLogger(every_n_steps=1, num_samples=9), Weights()
    callbacks = [samples, ResultsWriter(), ExportPretrained(), FreezeBackbone(1), weights]
    runner = trainer("fit", *callbacks, max_epochs=2)
    runner.fit(module, data(ROWS[:5]))
    path = runner.checkpoint_callback.best_model_path
    weights.on_train_epoch_start(runner, module)
    torch.save(weights.found, FOLDER / f"weights-{runner.global_rank}.pt")
    runner = trainer("predict", PredictionWriter())
    runner.predict(module, data(ROWS), return_predictions=False)
    runner = trainer("test", PredictionWriter(evaluations=["test"]), ConfusionMatrixWriter())
    runner.test(module, data(ROWS), verbose=False)
    if runner.is_global_zero:
        Path(FOLDER, "checkpoint").write_text(path)
"""


@pytest.fixture(scope="session")
def ddp_rows() -> list[dict[str, object]]:
    """Seven rows with names; an odd number, so that two processes need a padding copy."""
    words = ["fire", "flood", "storm", "quake", "crash", "smoke", "rescue"]
    return [
        {"id": f"row-{number}", "text": f"a {word} in town", "label": number % 2}
        for number, word in enumerate(words)
    ]


@pytest.fixture(scope="session")
def two_processes(
    tiny_model: str, ddp_rows: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder of runs on two processes that talk over gloo: fit, predict, test; `out`."""
    folder = tmp_path_factory.mktemp("two_processes")
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, str(script), tiny_model, str(folder), json.dumps(ddp_rows)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    (folder / "out").write_text(done.stdout, encoding="utf-8")
    return folder
