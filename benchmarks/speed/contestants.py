"""One who trains, evaluates and predicts once, in a process of its own; prints JSON.

    python -m benchmarks.speed.contestants WHO WORK FOLDER MODEL

WHO is `lit_hf` (the command with its recipe, bf16-mixed), `trainer` (HF Trainer with its default
flags), `trainer_best` (HF Trainer with its best ones, see `benchmarks.speed.hf_trainer`) or `loop`
(a plain PyTorch loop over the batches of lit_hf's data module, and the model alone over those to
evaluate; what it does not do is what the framework costs).
"""

import json
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from benchmarks.speed.hf_trainer import best_flags, default_flags, hf_trainer
from benchmarks.speed.plain_loop import loop
from benchmarks.speed.setting import Setting, give_back
from benchmarks.speed.turns import end_turn
from benchmarks.speed.work import RECIPES, SCORES, WORKS, Counts, Work
from lit_hf.cli.command import main as command


def words_of(work: Work, folder: Path, model: str, setting: Setting) -> tuple[str, ...]:
    """The options of the command: the recipe on the files of a folder, without checkpoint by score.

    Args:
        work: what is trained on.
        folder: with its files.
        model: folder or Hub id.
        setting: where and how.
    """
    numbers = {"max_length": work.max_length, "doc_stride": work.doc_stride}
    if work.is_text:
        numbers["pad_to_multiple_of"] = setting.multiple
    given = [(f"--data.{name}", str(number)) for name, number in numbers.items() if number]
    return (
        *("--config", str(RECIPES / work.recipe), "--model.model_name", model, *work.words),
        *("--model.pretrained", str(work.is_pretrained).lower()),
        *(word for pair in given for word in pair),
        *("--data.train_file", str(folder / work.train), "--data.val_file", str(folder / work.val)),
        *("--data.batch_size", str(work.batch_size), "--model.optimizer.lr", str(work.lr)),
        *("--data.eval_batch_size", str(work.eval_batch_size)),
        *("--data.num_workers", str(setting.num_workers)),
        *("--trainer.precision", setting.precision, "--trainer.accelerator", setting.accelerator),
        *("--trainer.devices", "1", "--checkpoint.monitor", "null"),
        *("--checkpoint.save_top_k", "0"),  # the last one is written all the same
    )


def lit_hf(work: Work, folder: Path, model: str, setting: Setting) -> Counts:
    """The command: fit without validations, then validate and perhaps predict."""
    run = str(folder / "run")
    clock = (
        *("--import", "benchmarks.speed.clock"),
        *("--trainer.callbacks+", "benchmarks.speed.clock.Clock"),
    )
    given = (
        *words_of(work, folder, model, setting),
        *("--trainer.default_root_dir", run, "--trainer.max_epochs", str(work.epochs)),
        *("--trainer.limit_val_batches", "0"),
    )
    verbs = {
        "fit": (*given, *clock),
        "validate": ("--run", run, *clock),
        "predict": ("--run", run, "--data.predict_file", str(folder / work.val), *clock),
    }
    for verb in setting.verbs:
        give_back()  # a training that has ended is not evaluated with its optimizer
        if code := command((verb, *verbs[verb])):
            raise RuntimeError(f"lit-hf {verb} ended with exit code {code}")
    counts, results = (
        json.loads((folder / "run" / name).read_text(encoding="utf-8"))
        for name in ("clock.json", "results.json")
    )
    scores = results["validate"]
    counts["validate"] |= {name: scores[name] for name in SCORES if name in scores}
    return cast("Counts", counts)


WHO: dict[str, Callable[[Work, Path, str, Setting], Counts]] = {
    "lit_hf": lit_hf,
    "trainer_best": partial(hf_trainer, flags_of=best_flags),
    "trainer": partial(hf_trainer, flags_of=default_flags),
    "loop": lambda work, folder, model, setting: loop(work, folder, model),
}


def main() -> None:
    """Run one and print what it counted."""
    who, name, folder, model = sys.argv[1:]
    end_turn()  # all imports are done
    counts: dict[str, Any] = dict(WHO[who](WORKS[name], Path(folder), model, Setting()))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts["peak_mib"] = used / (2**20 if sys.platform == "darwin" else 2**10)
    print("COUNTS " + json.dumps(counts))


if __name__ == "__main__":
    main()
