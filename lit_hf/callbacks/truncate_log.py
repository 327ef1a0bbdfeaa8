"""Files of lines that a training appends to, cut back to the checkpoint that it resumes from."""

from collections.abc import Callable
from pathlib import Path

from lightning.pytorch import Trainer

from lit_hf.callbacks.earlier_run import begins_here
from lit_hf.files.atomic import new_file


def drop_later(trainer: Trainer, file_name: str, step_of: Callable[[str], int | None]) -> None:
    """Drop the lines of steps that are trained again, which a killed training has left.

    A line that the kill has cut off goes too. Where nothing is dropped the file stays as it is.

    Args:
        trainer: when its training begins; a training from scratch drops nothing.
        file_name: of the file in the run folder.
        step_of: the step of a line, None where it has none; an error of parsing says the same.
    """
    path = Path(trainer.default_root_dir) / file_name
    if begins_here(trainer) or not trainer.is_global_zero or not path.is_file():
        return

    def is_kept(line: bytes) -> bool:
        try:
            step = step_of(line.decode("utf-8"))
        except (ValueError, LookupError, TypeError):
            step = None
        return line.endswith(b"\n") and (step is None or step <= trainer.global_step)

    with path.open("rb") as stream:
        lines = stream.readlines()
    if not all(map(is_kept, lines)):
        with new_file(path) as out:
            out.writelines(filter(is_kept, lines))
