from pathlib import Path

from tests.processes import run_script

SCRIPT = """
import os, random, sys, warnings

import lightning.pytorch as pl
from lightning.pytorch.strategies import DDPStrategy

from lit_hf import InputError, TextClassificationDataModule, TextClassifier

NAMES = ["no", "yes"]
ROWS = [{"text": f"fire number {n}", "label": NAMES[n % 2]} for n in range(16)]


def refused(model, verb, rows, seed=0):
    data = TextClassificationDataModule(model, batch_size=2, seed=seed, label_names=NAMES)
    data.with_rows(train=rows[:8], val=rows[8:], test=rows[:6], predict=rows[:6])
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, max_steps=1,
    )
    try:
        getattr(trainer, verb)(TextClassifier(model, NAMES), data)
    except InputError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    rank = int(os.environ.get("LOCAL_RANK", 0))
    model = sys.argv[1]
    drawn = random.Random(rank).sample(ROWS, len(ROWS))  # as of a script without a seed
    for verb in ("validate", "test", "predict", "fit"):
        assert "do not have the same" in refused(model, verb, drawn), verb
    labelled = [{**row, "label": NAMES[(n + rank) % 2]} for n, row in enumerate(ROWS)]
    assert "do not have the same train" in refused(model, "fit", labelled)
    assert "do not have the same seed" in refused(model, "fit", ROWS, seed=rank)
    assert refused(model, "fit", ROWS) == ""
"""


def test_processes__with_other_rows_are_refused(tiny_model: str, tmp_path: Path) -> None:
    """A split that each process draws for itself trains what another one validates."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    run_script(script, tiny_model)
