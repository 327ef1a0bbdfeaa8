"""`results.json` of a run folder: scores, and which weights they and other files are of."""

import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lit_hf.callbacks.best_checkpoint import best_callback
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.data.rows.fingerprint import KnownRows
from lit_hf.data.sources.splits import Split
from lit_hf.errors import InputError
from lit_hf.files.atomic import write_text
from lit_hf.files.paths import relative
from lit_hf.modules.fit_end import checkpoint_of_end
from lit_hf.modules.folder_weights import folder_of
from lit_hf.modules.validated import step_of

log = logging.getLogger(__name__)
Results = dict[str, Any]
Numbers = Mapping[str, Tensor | float]
FILE_NAME = "results.json"
STAGES = ("fit", "validate", "test")
SPLITS: dict[str, Split] = {"validate": "val", "test": "test", "predict": "predict"}
_OF_TRAINING = ("train/", "lr-")


def read_results(folder: Path) -> Results:
    """The content of the file of a run folder; {} where there is none to read."""
    try:
        found = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_results(folder: Path, results: Results) -> None:
    """Write the file; one that cannot be read gets another name."""
    path = folder / FILE_NAME
    if path.exists() and not read_results(folder):
        other = path.replace(path.with_suffix(".json.other"))
        log.warning(f"{path} cannot be read, or is not of lit_hf: it is renamed to {other.name}.")
    first = {name: results[name] for name in (*STAGES, "files") if name in results}
    text = json.dumps({**first, **results}, indent=2, ensure_ascii=False)
    write_text(path, text + "\n")


def ended_at(folder: Path) -> int | None:
    """The step at which the training in a run folder has ended; None where it has not."""
    step: int | None = read_results(folder).get("fit", {}).get("last", {}).get("step")
    return step


# What an entry holds.


def entry_of(scores: Numbers, module: LightningModule) -> Results:
    """Scores by the names that are the same in all stages, with the class that F1 is of."""
    entry: Results = {
        re.sub("^(val|test)/", "", name): plain_number(float(value))
        for name, value in scores.items()
    }
    positive = getattr(module, "positive_label", None)
    if positive is not None and "f1" in entry:
        entry["positive_label"] = positive
    return entry


def plain_number(value: float) -> float | int | None:
    """A number as JSON has it: whole ones without a point, others in 7 digits, NaN as null.

    >>> plain_number(3.0), plain_number(0.10000000149011612), plain_number(float("nan"))
    (3, 0.1, None)
    """
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else float(f"{value:.7g}")


def evaluated_weights(trainer: Trainer, module: LightningModule) -> Results:
    """The step of the weights that an evaluation uses, and their checkpoint, None without one.

    Weights that come straight from the folder of a model have its name and no step.
    """
    if (folder := folder_of(trainer, module)) is not None:
        name = name_in_run(trainer, folder) if Path(folder).is_dir() else folder
        return {"step": None, "checkpoint": None, "model": name}
    path = str(trainer.ckpt_path or "")
    step = step_of(path) if path else None
    if step is None and (loaded := getattr(module, "weights_step", None)) is not None:
        step = loaded.trained
    step = trainer.global_step if step is None else step
    return {"step": step, "checkpoint": name_in_run(trainer, path)}


def rows_of(trainer: Trainer, split: Split) -> Results:
    """Which `rows` are scored: their files, a stamp of them, and which `part` if not all.

    {} where the data does not know.
    """
    data = getattr(trainer, "datamodule", None)
    rows = data.source(split) if isinstance(data, KnownRows) else {}
    limit = getattr(trainer, f"limit_{split}_batches")
    if rows and str(limit) != "1.0":  # 1 is one batch, 1.0 all
        size, num_devices = getattr(data, "eval_batch_size", None), trainer.world_size
        part = f"limit_{split}_batches {limit} of {size} rows on {num_devices} device(s)"
        rows = {**rows, "part": part}
    return {"rows": rows} if rows else {}


def name_in_run(trainer: Trainer, path: str) -> str | None:
    """The name of a checkpoint as seen from the run folder; None for none."""
    return relative(path, trainer.default_root_dir) if path else None


def best_weights(trainer: Trainer) -> Results | None:
    """The best weights by a monitor, with the scores that stand in their checkpoint."""
    callback = best_callback(trainer)
    if callback is None or callback.monitor is None:
        return None
    path, score = callback.best_model_path, callback.best_model_score
    try:
        checkpoint = read_checkpoint(path)
    except InputError:  # corrupt, which the export reports
        checkpoint = {}
    about, step = checkpoint.get("lit_hf") or {}, checkpoint.get("global_step")
    is_scored = about.get("validated") in (None, step)  # else saved after the validation
    metrics = cast("Mapping[str, float]", about.get("metrics") or {}) if is_scored else {}
    scores = {name: v for name, v in metrics.items() if not name.startswith(_OF_TRAINING)}
    return {
        **entry_of(scores, trainer.lightning_module),
        **(rows_of(trainer, "val") if is_scored else {}),
        "step": step,
        "checkpoint": name_in_run(trainer, path),
        "monitor": callback.monitor,
        "best_score": None if score is None else plain_number(float(score)),
    }


def last_weights(trainer: Trainer, numbers: Numbers, validated: int | None) -> Results:
    """The weights at the end of a training; with scores if they are those validated last."""
    step = trainer.global_step
    is_scored = validated in (None, step)
    scores = {k: v for k, v in numbers.items() if is_scored or k.startswith(_OF_TRAINING)}
    entry = {**entry_of(scores, trainer.lightning_module), "step": step}
    if not is_scored:
        entry["validated_step"] = validated
    elif validated is not None:
        entry |= rows_of(trainer, "val")
    return {**entry, "checkpoint": name_in_run(trainer, checkpoint_of_end(trainer))}


# Which weights files and entries are of.


def name_files(trainer: Trainer, module: LightningModule, paths: Iterable[Path]) -> Results:
    """Write into `results.json` which weights and rows files of the run folder are of, by names.

    Returns:
        Step and checkpoint of the weights, and the rows.
    """
    folder = Path(trainer.default_root_dir)
    split = SPLITS.get(str(trainer.state.fn and trainer.state.fn.value), "val")
    weights = {**evaluated_weights(trainer, module), **rows_of(trainer, split)}
    results = read_results(folder)
    files = {**results.get("files", {}), **{path.name: weights for path in paths}}
    write_results(folder, {**results, "files": files})
    return weights


def drop_replaced(folder: Path, results: Results, has_step: Callable[[int], bool]) -> None:
    """Drop the entries of weights that a training has replaced, and write the file.

    Args:
        folder: of the run.
        results: the content of the file.
        has_step: tells whether the weights of a step are still there.
    """

    def stays(entry: Results) -> bool:
        step = entry.get("last", entry).get("step")  # "last" of a training
        return step is None or has_step(step)  # weights of a model's folder have no step

    files, stages = results.get("files", {}), [stage for stage in STAGES if stage in results]
    gone = [name for name in files if not stays(files[name])]
    gone += [stage for stage in stages if not stays(results[stage])]
    if gone:
        log.info(f"{', '.join(gone)}: of weights that the training has replaced since.")
    left = {name: entry for name, entry in results.items() if name not in (*gone, "files")}
    files = {name: entry for name, entry in files.items() if name not in gone}
    write_results(folder, {**left, **({"files": files} if files else {})})
