"""One who trains, evaluates and predicts once, in a process of its own; prints JSON.

    python -m benchmarks.speed.contestants WHO WORK FOLDER MODEL

WHO is `lit_hf` (the command with its recipe, bf16-mixed), `trainer` (HF Trainer with its default
flags), `trainer_best` (HF Trainer with bf16 and, of texts, batches of like length, padded to their
longest) or `loop` (a plain PyTorch loop over the batches of lit_hf's data module, and the model
alone over those to evaluate; what it does not do is what the framework costs).
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from benchmarks.speed.hf_trainer import hf_trainer
from benchmarks.speed.plain_loop import loop
from benchmarks.speed.turns import end_turn
from benchmarks.speed.work import RECIPES, WORKS, Counts
from lit_hf.cli import main as command


def lit_hf(name: str, folder: Path, model: str) -> Counts:
    """The command: fit without validations, then validate and predict."""
    work, run = WORKS[name], str(folder / "run")
    clock = (
        *("--import", "benchmarks.speed.clock"),
        *("--trainer.callbacks+", "benchmarks.speed.clock.Clock"),
    )
    train, val = str(folder / work.train), str(folder / work.val)
    given = (
        *("--config", str(RECIPES / work.recipe), "--model.model_name", model, *work.words),
        *("--data.train_file", train, "--data.val_file", val),
        *("--data.batch_size", str(work.batch_size), "--model.optimizer.lr", str(work.lr)),
        *("--data.eval_batch_size", str(work.eval_batch_size)),
        *("--trainer.default_root_dir", run, "--trainer.precision", "bf16-mixed"),
        *("--trainer.max_epochs", str(work.epochs), "--trainer.limit_val_batches", "0"),
        *("--checkpoint.monitor", "null", "--trainer.accelerator", "cpu"),
    )
    once = ("--trainer.limit_val_batches", "1.0")
    for words in (
        ("fit", *given, *clock),
        ("validate", "--run", run, *once),
        ("predict", "--run", run, "--data.predict_file", val),
    ):
        if command(words):
            raise SystemExit(f"lit-hf {words[0]} failed")
    counts, results = (
        json.loads((folder / "run" / name).read_text(encoding="utf-8"))
        for name in ("clock.json", "results.json")
    )
    if "accuracy" in (scores := results["validate"]):
        counts["validate"]["accuracy"] = scores["accuracy"]
    return cast("Counts", counts)


WHO: dict[str, Callable[[str, Path, str], Counts]] = {
    "lit_hf": lit_hf,
    "trainer_best": lambda name, folder, model: hf_trainer(name, folder, model, True),
    "trainer": lambda name, folder, model: hf_trainer(name, folder, model, False),
    "loop": loop,
}


def main() -> None:
    """Run one and print what it counted."""
    who, name, folder, model = sys.argv[1:]
    end_turn()  # all imports are done
    counts: dict[str, Any] = dict(WHO[who](name, Path(folder), model))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts["peak_mib"] = used / (2**20 if sys.platform == "darwin" else 2**10)
    print("COUNTS " + json.dumps(counts))


if __name__ == "__main__":
    main()
