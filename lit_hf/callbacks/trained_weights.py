"""TrainedWeights: an evaluation of a model's folder uses no weights that are random."""

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.callbacks.rendering.table import show
from lit_hf.modules.base import HFModule
from lit_hf.modules.folder_weights import folder_of
from lit_hf.pretrained.integrity import check_complete


class TrainedWeights(Callback):
    """Refuses to evaluate a model of which not all weights came out of its folder.

    In Python one may want to see how a model scores before it is trained; the command, which is
    given no checkpoint, takes the folder for a trained model.
    """

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the weights of an evaluation that is not part of a training."""
        folder = folder_of(trainer, pl_module)
        if trainer.state.fn == "fit" or folder is None or not isinstance(pl_module, HFModule):
            return
        check_complete(pl_module.model, folder)
        show(trainer, f"the weights are those of {folder}; no checkpoint was given")

    on_validation_start = on_predict_start = on_test_start
