"""What our callbacks write lies on this machine, and so do the checkpoints that they read again."""

from lightning.pytorch import Trainer

from lit_hf.files.urls import check_local


def check_local_run(trainer: Trainer) -> None:
    """Refuse a Trainer whose run folder or checkpoints are an address; to be called in `setup`.

    Raises:
        InputError: naming the setting.
    """
    check_local("default_root_dir", trainer.default_root_dir)
    folders = [getattr(callback, "dirpath", "") for callback in trainer.checkpoint_callbacks]
    check_local("dirpath", *folders)
    if None in folders and trainer.loggers:  # then a ModelCheckpoint writes beside the logs
        check_local("save_dir", trainer.loggers[0].save_dir)
