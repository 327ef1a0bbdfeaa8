"""TrainedWeights: an evaluation of a model's folder asks no weights that are random."""

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.callbacks.rendering.table import show
from lit_hf.functional.text import printable
from lit_hf.modules.base import HFModule
from lit_hf.modules.folder_weights import folder_of
from lit_hf.pretrained.integrity import check_complete


class TrainedWeights(Callback):
    """Refuses to evaluate a model of which not all weights came out of its folder.

    In Python one may want to see how a model scores before it is trained; the command, which is
    given no checkpoint, takes the folder for a trained model.
    """

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the weights of a validation that is none of a training."""
        if trainer.state.fn != "validate":
            return
        self._check(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the weights."""
        self._check(trainer, pl_module)

    on_predict_start = on_test_start

    def _check(self, trainer: Trainer, module: LightningModule) -> None:
        folder = folder_of(trainer, module)
        if folder is None or not isinstance(module, HFModule):
            return
        check_complete(module.model, folder)
        show(trainer, f"the weights are those of {printable(folder, 300)}; no checkpoint was given")
