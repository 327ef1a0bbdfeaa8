"""FreezeBackbone: the head learns alone before the rest of the model does."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.nn import Parameter

from lit_hf.distributed.fsdp import put_back
from lit_hf.errors import InputError, at_least
from lit_hf.modules.base import HFModule
from lit_hf.pretrained.models import backbone_of


class FreezeBackbone(Callback):
    """Trains the head alone for the first epochs, then the whole model.

    Until then the backbone (`module.backbone`) is frozen and runs as in an evaluation, without
    dropout. The optimizer holds all weights from the start and passes over those without gradient:
    one schedule for all, and a resumed run is as far as its epoch says. Several processes need
    `trainer.strategy: ddp_find_unused_parameters_true`.

    Args:
        num_epochs: epochs of the head alone; as many as all epochs trains nothing else.

    Raises:
        InputError: if the model has no backbone beside a head.
    """

    changes_weights = True

    def __init__(self, num_epochs: int = 1) -> None:
        at_least(0, num_epochs=num_epochs)
        self.num_epochs = num_epochs
        self._frozen: list[Parameter] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse what cannot be trained in two parts."""
        if not isinstance(pl_module, HFModule):
            raise InputError(
                f"FreezeBackbone expects an `HFModule`, but got {type(pl_module).__name__}."
            )
        backbone_of(pl_module.model)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze the backbone, or thaw it when its epoch has come."""
        if trainer.current_epoch >= self.num_epochs:
            self._thaw(pl_module)
        elif not self._frozen and isinstance(pl_module, HFModule):
            put_back(pl_module.model)
            self._frozen = [p for p in pl_module.backbone.parameters() if p.requires_grad]
            for parameter in self._frozen:
                parameter.requires_grad = False
            pl_module.backbone.train(False)

    on_train_start = on_train_epoch_start  # a training may resume in the midst of an epoch

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Leave no weights frozen."""
        self._thaw(pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave no weights frozen."""
        self._thaw(pl_module)

    def _thaw(self, pl_module: LightningModule) -> None:
        """Let what was frozen here learn again, and nothing else."""
        if self._frozen and isinstance(pl_module, HFModule):
            put_back(pl_module.model)
            for parameter in self._frozen:
                parameter.requires_grad = True
            pl_module.backbone.train()
        self._frozen = []
