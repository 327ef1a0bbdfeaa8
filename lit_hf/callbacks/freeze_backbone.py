"""FreezeBackbone: the head learns alone before the rest of the model does."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.nn import Parameter

from lit_hf.distributed.fsdp import put_back
from lit_hf.errors import InputError
from lit_hf.modules.base import HFModule
from lit_hf.pretrained.models import backbone_of


class FreezeBackbone(Callback):
    """Trains the head alone for the first epochs, then the whole model.

    Until then the backbone (`module.backbone`) is frozen and runs as in an evaluation, without
    dropout. The optimizer holds all weights from the start and passes over those without gradient:
    one schedule for all, and a resumed run is as far as its epoch says.

    Args:
        num_epochs: epochs of the head alone; as many as all epochs trains nothing else.

    Raises:
        InputError: if the model has no backbone beside a head, or if the processes of a `ddp`
            strategy wait for the gradients of frozen weights.
    """

    changes_weights = True

    def __init__(self, num_epochs: int = 1) -> None:
        if num_epochs < 0:
            raise InputError(f"Expected `num_epochs` to be at least 0, but got {num_epochs}.")
        self.num_epochs = num_epochs
        self._frozen: list[Parameter] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse what cannot be trained in two parts."""
        if not isinstance(pl_module, HFModule):
            raise InputError(
                f"FreezeBackbone wants an `HFModule`, not a {type(pl_module).__name__}."
            )
        backbone_of(pl_module.model)
        if not getattr(trainer.strategy.model, "find_unused_parameters", True):
            raise InputError(
                "FreezeBackbone: the processes would wait for the gradients of frozen weights; set "
                "`trainer.strategy: ddp_find_unused_parameters_true`."
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze the backbone also where training goes on in the midst of an epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze the backbone, or thaw it when its epoch has come."""
        if trainer.current_epoch >= self.num_epochs:
            self._thaw(pl_module)
        elif not self._frozen and isinstance(pl_module, HFModule):
            put_back(pl_module.model)
            backbone = pl_module.backbone
            self._frozen = [p for p in backbone.parameters() if p.requires_grad]
            for parameter in self._frozen:
                parameter.requires_grad = False
            backbone.train(False)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave no weights frozen."""
        self._thaw(pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave no weights frozen."""
        self._thaw(pl_module)

    def _thaw(self, pl_module: LightningModule) -> None:
        """Let learn again what was frozen here, and nothing else."""
        if self._frozen and isinstance(pl_module, HFModule):
            put_back(pl_module.model)
            for parameter in self._frozen:
                parameter.requires_grad = True
            pl_module.backbone.train()
        self._frozen = []
