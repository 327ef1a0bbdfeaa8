"""Which checkpoint of a folder is taken: the latest valid one, or the best one."""

import logging
import math
from pathlib import Path
from typing import Any

from lit_hf.checkpointing.reader import load_verified, read_checkpoint
from lit_hf.errors import InputError
from lit_hf.files.paths import file_name

log = logging.getLogger(__name__)


def latest_valid_checkpoint(folder: Path) -> Path | None:
    """The valid checkpoint with the most training steps; None where the folder has none at all.

    Steps are compared and not times, so a wrong clock does no harm.

    Raises:
        InputError: if there are checkpoints, but none of them is valid.
    """
    steps: dict[Path, int] = {}
    errors: dict[Path, InputError] = {}
    for path in filter(Path.is_file, sorted(folder.glob("*.ckpt"))):
        try:
            steps[path] = int(str(load_verified(path).get("global_step", 0)))
        except InputError as error:
            errors[path] = error
    if errors and not steps:
        raise InputError(
            f"{' '.join(map(str, errors.values()))} There is no valid checkpoint to resume from: "
            "move it away to start from scratch."
        )
    if not steps:
        return None
    latest = max(steps, key=lambda path: (steps[path], path.stem == "last"))
    if errors:
        reasons = " ".join(map(str, errors.values()))
        log.warning(f"{reasons} The latest valid checkpoint is {latest}.")
    return latest


def best_of(folder: Path) -> Path | None:
    """The best checkpoint by the latest one; the latest itself where it names none.

    Raises:
        InputError: if the best checkpoint is corrupt.
    """
    latest = latest_valid_checkpoint(folder)
    if latest is None:
        return None
    for state in read_checkpoint(latest).get("callbacks", {}).values():
        if not isinstance(state, dict) or state.get("monitor") is None:
            continue
        score, path = state.get("best_model_score"), state.get("best_model_path")
        if not path or (score is not None and not math.isfinite(score)):
            continue
        # Beside the latest one, also where the run was moved; else where its callback wrote it.
        places = (folder / file_name(path), Path(path))
        best = next((place for place in places if place.is_file()), None)
        if best is not None and has_score(best, str(state["monitor"]), score):
            load_verified(best)
            return best
        fault = "does not exist" if best is None else "has other weights now"
        log.warning(f"the best checkpoint {places[0]} {fault}; {latest} is used.")
    return latest


def has_score(path: str | Path, monitor: str, score: Any) -> bool:  # noqa: ANN401 - tensor, number
    """Whether a checkpoint holds the weights that had a score.

    Another run may have written other weights under the same name. A checkpoint that cannot be
    read, or without scores, is taken at its name.

    Args:
        path: of the checkpoint.
        monitor: name of the score.
        score: its value; None where it is not known.
    """
    try:
        checkpoint = read_checkpoint(path)
    except InputError:
        return True
    about = checkpoint.get("lit_hf") or {}
    validated = about.get("validated")
    if monitor.startswith("val/") and validated not in (None, checkpoint.get("global_step")):
        return False
    saved = (about.get("metrics") or {}).get(monitor)
    return saved is None or score is None or math.isclose(saved, float(score), rel_tol=1e-6)
