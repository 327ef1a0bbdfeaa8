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
    ExportPretrained, FreezeBackbone, InputError, PredictionWriter, ResultsWriter, SampleLogger,
    TextClassificationDataModule, TextClassifier,
)

MODEL, FOLDER, ROWS = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])


def data(rows):
    return TextClassificationDataModule(
        MODEL, batch_size=2, eval_batch_size=1, val_fraction=0, id_column="id",
        label_names=["no", "yes"],
    ).with_rows(train=rows, val=rows, test=rows, predict=rows)


def trainer(name, *callbacks, strategy="ddp", **settings):
    return pl.Trainer(
        accelerator="cpu", strategy=strategy, devices=2, logger=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=FOLDER / name, callbacks=list(callbacks),
        log_every_n_steps=1, **settings,
    )


class Weights(pl.Callback):
    found = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.found.append({k: v.clone() for k, v in pl_module.state_dict().items()})


def head_first():
    weights = Weights()
    runner = trainer(
        "head", FreezeBackbone(1), weights, strategy="ddp_find_unused_parameters_true", max_epochs=2
    )
    module = TextClassifier(MODEL, label_names=["no", "yes"], warmup_ratio=0.0)
    runner.fit(module, data(ROWS[:5]))
    weights.on_train_epoch_start(runner, module)
    torch.save(weights.found, FOLDER / f"head-first-{runner.global_rank}.pt")
    try:
        trainer("refused", FreezeBackbone(), max_epochs=2).fit(module, data(ROWS[:5]))
    except InputError as error:
        Path(FOLDER, "refused").write_text(str(error))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    pl.seed_everything(0, verbose=False)
    module = TextClassifier(MODEL, label_names=["no", "yes"])
    samples = SampleLogger(every_n_steps=1, num_samples=9)
    runner = trainer("fit", samples, ResultsWriter(), ExportPretrained(), max_epochs=2)
    runner.fit(module, data(ROWS[:5]))
    path = runner.checkpoint_callback.best_model_path
    runner = trainer("validate", SampleLogger(num_samples=2), ResultsWriter())
    runner.validate(module, data(ROWS[:5]), verbose=False)
    for number in (5, 7):
        runner = trainer(f"predict{number}", PredictionWriter())
        runner.predict(module, data(ROWS[:number]), return_predictions=False)
    runner = trainer("test7", PredictionWriter(evaluations=["test"]))
    runner.test(module, data(ROWS[:7]), verbose=False)
    head_first()
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
    """A folder of runs on two processes that talk over gloo: fit, validate, predict; `out`."""
    folder = tmp_path_factory.mktemp("two_processes")
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, str(script), tiny_model, str(folder), json.dumps(ddp_rows)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    (folder / "out").write_text(done.stdout, encoding="utf-8")
    return folder


IMAGES = """
import runpy, sys, warnings
from pathlib import Path

import lightning.pytorch as pl
import torch

from lit_hf import (
    ConfusionMatrixWriter, ImageClassificationDataModule, ImageClassifier, SampleLogger,
)

NAMES = ["a", "b", "c"]


class ByBrightness(ImageClassifier):
    "Takes dark images for a, light ones for b, and none for c, whatever its weights are."

    def forward(self, batch, *args, **options):
        output = super().forward(batch, *args, **options)
        bright = batch["pixel_values"].mean((1, 2, 3))  # [B]
        output.logits = torch.stack([-bright, bright, bright * 0 - 9], dim=1)  # [B, 3]
        return output


def run(model, folder, devices, images):
    drawn = runpy.run_path(images)["drawn"]
    rows = [
        {"image": drawn(n), "label": NAMES[(n * 5 // 3) % 3], "id": f"i{n}"} for n in range(7)
    ]
    data = ImageClassificationDataModule(
        model, batch_size=4, eval_batch_size=1, val_fraction=0, label_names=NAMES
    ).with_rows(train=rows, val=rows, test=rows, predict=rows)
    module = ByBrightness(model, NAMES, pretrained=False)
    trainer = pl.Trainer(
        accelerator="cpu", strategy="ddp" if devices > 1 else "auto", devices=devices,
        logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, default_root_dir=Path(folder, str(devices)),
        callbacks=[SampleLogger(num_samples=9), ConfusionMatrixWriter()],
    )
    trainer.validate(module, data, verbose=False)
    trainer.test(module, data, verbose=False)
    return trainer, module, data


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    run(sys.argv[1], sys.argv[2], 2, sys.argv[3])
"""


@pytest.fixture(scope="session")
def images_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A script that validates and tests seven images; `run` of it does so in this process."""
    script = tmp_path_factory.mktemp("images_script") / "script.py"
    script.write_text(IMAGES, encoding="utf-8")
    return script


@pytest.fixture(scope="session")
def images_of_two(
    tiny_vit: str, images_script: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The run folder of that on two processes."""
    folder = tmp_path_factory.mktemp("images_of_two")
    images = Path(__file__).parent.parent / "images.py"
    command = [sys.executable, str(images_script), tiny_vit, str(folder), str(images)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "2"
