"""`results.json` of a run folder: scores, and which weights they and other files are of."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer

from lit_hf.data.rows.fingerprint import KnownRows
from lit_hf.data.sources.splits import Split
from lit_hf.files.atomic import write_text
from lit_hf.files.paths import relative
from lit_hf.files.urls import is_url
from lit_hf.files.write_errors import naming
from lit_hf.functional.text import printable
from lit_hf.modules.folder_weights import folder_of
from lit_hf.modules.validated import step_of

log = logging.getLogger(__name__)
Results = dict[str, Any]
FILE_NAME = "results.json"
STAGES = ("fit", "validate", "test")
SPLITS: dict[str, Split] = {"validate": "val", "test": "test", "predict": "predict"}


def read_results(folder: Path) -> Results:
    """What stands in the file of a run folder; {} where there is none, or it is not ours."""
    return _read(folder / FILE_NAME) or {}


def _read(path: Path) -> Results | None:
    """What stands in a file, {} where there is none; None where it is not ours."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return None
    return found if _is_ours(found) else None


def _is_ours(found: object) -> bool:
    """Whether a tree of JSON has the shape that is written here."""
    if not isinstance(found, dict):
        return False
    fit, files = found.get("fit", {}), found.get("files", {})
    earlier = found.get("earlier", [])
    if not (isinstance(fit, dict) and isinstance(files, dict) and isinstance(earlier, list)):
        return False
    weights = [fit[name] for name in ("best", "last") if name in fit]
    stages = [found[name] for name in STAGES if name in found]
    return all(isinstance(entry, dict) for entry in (*weights, *stages, *files.values(), *earlier))


def write_results(folder: Path, results: Results) -> None:
    """Write the file; one that is not ours is kept under another name."""
    path = folder / FILE_NAME
    if path.exists() and (_read(path) is None or not path.is_file()):
        other = path.with_suffix(".json.other")
        with naming(path):
            path.replace(other)
        log.warning(f"{path} cannot be read, or is not of lit_hf: it is kept as {other.name}.")
    first = {name: results[name] for name in (*STAGES, "files") if name in results}
    text = json.dumps({**first, **results}, indent=2, ensure_ascii=False)
    write_text(path, text + "\n")


def ended_at(folder: Path) -> int | None:
    """The step at which the training in a run folder has come to its end; None where it has not."""
    found = read_results(folder).get("fit")
    last = found.get("last") if isinstance(found, dict) else None
    step = last.get("step") if isinstance(last, dict) else None
    return step if isinstance(step, int) else None


def evaluated_weights(trainer: Trainer, module: LightningModule) -> Results:
    """The step of the weights that an evaluation uses, and their checkpoint, None without one.

    Of weights that come straight from the folder of a model it is that, and no step.
    """
    if (folder := folder_of(trainer, module)) is not None:
        name = name_in_run(trainer, folder) if Path(folder).is_dir() else folder
        return {"step": None, "checkpoint": None, "model": name}
    path = str(trainer.ckpt_path or "")
    step = step_of(path) if path else None
    if step is None and (found := getattr(module, "weights_step", None)) is not None:
        step = found.trained
    step = trainer.global_step if step is None else step
    return {"step": step, "checkpoint": name_in_run(trainer, path)}


def rows_of(trainer: Trainer, split: Split) -> Results:
    """Which `rows` were scored: their files, a stamp of them, and which `part` if not all.

    {} where the data says nothing.
    """
    data = getattr(trainer, "datamodule", None)
    rows = data.source(split) if isinstance(data, KnownRows) else {}
    if not rows:
        return {}
    limit = getattr(trainer, f"limit_{split}_batches")
    if str(limit) == "1.0":  # 1 is one batch, 1.0 all
        return {"rows": rows}
    size, devices = getattr(data, "eval_batch_size", None), trainer.world_size
    part = f"limit_{split}_batches {limit} of {size} rows on {devices} device(s)"
    return {"rows": {**rows, "part": part}}


def name_in_run(trainer: Trainer, path: str) -> str | None:
    """The name of a checkpoint as seen from the run folder; None for none."""
    if not path or is_url(path):
        return path or None
    return relative(path, trainer.default_root_dir)


def name_files(trainer: Trainer, module: LightningModule, paths: Iterable[Path]) -> Results:
    """Write into `results.json` which weights and rows files of the run folder are of, by names.

    Returns:
        Step and checkpoint of the weights, and the rows.
    """
    folder = Path(trainer.default_root_dir)
    split = SPLITS.get(str(trainer.state.fn and trainer.state.fn.value), "val")
    weights = {**evaluated_weights(trainer, module), **rows_of(trainer, split)}
    results = read_results(folder)
    names = [path.name for path in paths]
    earlier = [e for e in results.pop("earlier", []) if e.get("file") not in names]
    results["files"] = {**results.get("files", {}), **dict.fromkeys(names, weights)}
    write_results(folder, {**results, **({"earlier": earlier} if earlier else {})})
    return weights


def forget_files(folder: Path, paths: Iterable[Path]) -> None:
    """Say no more which weights files are of, before others take their names.

    Of files that a kill leaves then, `results.json` says nothing wrong.
    """
    results, names = read_results(folder), {path.name for path in paths}
    if names & results.get("files", {}).keys():
        files = results.pop("files")
        kept = {name: entry for name, entry in files.items() if name not in names}
        write_results(folder, {**results, **({"files": kept} if kept else {})})


def mark_earlier(results: Results, is_kept: Callable[[Results], bool]) -> None:
    """Move what is of weights that are gone to the list `earlier`, and say so.

    Args:
        results: what stands in the file, changed in place.
        is_kept: tells of step and checkpoint whether such weights are there.
    """

    def stands(entry: object) -> bool:
        weights = entry.get("last", entry) if isinstance(entry, dict) else None
        step = weights.get("step") if isinstance(weights, dict) else None
        if isinstance(weights, dict) and weights.get("model"):
            return True  # no training leaves that behind
        return isinstance(step, int) and is_kept(cast("Results", weights))

    files = results.pop("files", {})
    kept = {name: entry for name, entry in files.items() if stands(entry)}
    old = [{"file": name, **entry} for name, entry in files.items() if name not in kept]
    stages = [stage for stage in STAGES if stage in results and not stands(results[stage])]
    old += [{"stage": stage, **results.pop(stage)} for stage in stages]
    if kept:
        results["files"] = kept
    if old:
        results["earlier"] = [*results.get("earlier", []), *old]
        names = [printable(str(entry.get("file", entry.get("stage"))), 100) for entry in old]
        log.info(
            f"{', '.join(names)}: of earlier weights than this training leaves; `earlier` in "
            f"{FILE_NAME} says of which."
        )


def stand_now(standing: Sequence[Results]) -> Callable[[Results], bool]:
    """Tell whether weights are among those that a training has left.

    Checkpoints of one step hold the same weights, as the best and the last one may.

    Args:
        standing: step and checkpoint of the best and of the last weights.
    """
    steps = [weights["step"] for weights in standing]
    names = [None, *(weights["checkpoint"] for weights in standing)]
    return lambda weights: weights["step"] in steps and weights.get("checkpoint") in names
