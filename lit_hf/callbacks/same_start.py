"""All processes of a run start from the same checkpoint."""

from pathlib import Path

from lightning.pytorch import Trainer

from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.distributed.agreement import gather, refuse_together
from lit_hf.errors import InputError


def check_same_start(trainer: Trainer, refused: str = "") -> None:
    """Refuse processes of which one resumes and another does not; they would wait forever.

    All processes must call it, in `setup`.

    Args:
        trainer: with the checkpoint to resume from.
        refused: why this process cannot start; "" if it can.

    Raises:
        InputError: the same one in all processes.
    """
    refuse_together(refused)
    everywhere = gather(_checkpoint_of(trainer))
    for rank, checkpoint in enumerate(everywhere):
        if checkpoint != everywhere[0]:
            raise InputError(
                f"process 0 resumes from {everywhere[0]}, process {rank} from {checkpoint}: give "
                "all of them one `default_root_dir` on a disk that all machines mount."
            )


def _checkpoint_of(trainer: Trainer) -> str:
    """Name and step of a checkpoint, which do not change with the place of its folder."""
    if trainer.ckpt_path is None:
        return "no checkpoint"
    step = read_checkpoint(trainer.ckpt_path).get("global_step")
    return f"{Path(trainer.ckpt_path).name} of step {step}"
