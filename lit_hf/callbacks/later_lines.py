"""Files of lines that a training appends to, cut back to the checkpoint that it goes on from."""

import os
from collections.abc import Callable
from pathlib import Path

from lightning.pytorch import Trainer

from lit_hf.callbacks.earlier_run import begins_here


def drop_later(trainer: Trainer, file_name: str, step_of: Callable[[str], int | None]) -> None:
    """Drop the lines of steps that are trained again, which a killed training has left.

    A line that the kill has cut off goes too. The file is written beside its name and renamed;
    where nothing is dropped it stays as it is.

    Args:
        trainer: when its training begins; one that does not go on from a checkpoint of
            this folder drops nothing.
        file_name: of the file in the run folder.
        step_of: the step of a line, None where it belongs to none; a ValueError, LookupError or
            TypeError says the same, as a header does.
    """
    path = Path(trainer.default_root_dir) / file_name
    if begins_here(trainer) or not trainer.is_global_zero or not path.is_file():
        return

    def is_kept(line: str) -> bool:
        try:
            step = step_of(line)
        except (ValueError, LookupError, TypeError):
            step = None
        return line.endswith("\n") and (step is None or step <= trainer.global_step)

    unfinished = path.with_name(f".{file_name}.tmp")
    num_dropped = 0
    with (
        path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines,
        unfinished.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as out,
    ):
        for line in lines:
            if is_kept(line):
                out.write(line)
            else:
                num_dropped += 1
    if num_dropped:
        os.replace(unfinished, path)
    else:
        unfinished.unlink()
