"""A module whose model is made late: by a Trainer that has set up the data, or when touched."""

import logging
from collections.abc import Iterator

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from transformers import PreTrainedModel

from lit_hf.modules.sharding import is_sharded

log = logging.getLogger(__name__)


class ModelMaker(Callback):
    """Makes the model before other callbacks set up, which may look at its weights there.

    Lightning sets up the data first, so that bad rows stop a run before weights are loaded. It
    calls `configure_model` after all callbacks, too late for those that copy, freeze or prune:
    `StochasticWeightAveraging` would average nothing. Models in parts are made there all the same.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the model as Lightning would, on the device and in the precision of the run."""
        if isinstance(pl_module, LateModel) and not is_sharded(trainer):
            context = trainer.precision_plugin.module_init_context()
            with trainer.strategy.tensor_init_context(), context:
                pl_module.configure_model()


class LateModel(LightningModule):
    """Makes its model when that is first touched, by its name or by its weights.

    A Trainer makes it when the data is set up (`ModelMaker`). Before there is a Trainer whoever
    asks for the weights gets them, so that `module.freeze()` freezes, and a loop over
    `module.named_parameters()` finds all. There are none where only the data knows what the model
    is of, which is told.
    """

    model: PreTrainedModel

    def __getattr__(self, name: str) -> torch.Tensor | nn.Module:
        if name == "model" and "model" not in self.__dict__.get("_modules", {"model": None}):
            self.configure_model()
        return super().__getattr__(name)

    def configure_callbacks(self) -> list[Callback]:
        """Put the maker of the model before all other callbacks of the Trainer; adds none."""
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]  # of a connector
        if not any(isinstance(callback, ModelMaker) for callback in callbacks):
            callbacks.insert(0, ModelMaker())
        return []

    def waits_for_data(self) -> bool:
        """Whether the model cannot be made before the data is known."""
        return False

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The weights by name; `parameters`, `freeze` and `requires_grad_` come here too."""
        if self._trainer is None and "model" not in self._modules:
            if self.waits_for_data():
                log.warning(
                    f"{type(self).__name__} has no weights yet, to freeze or to count: the names "
                    "of its classes come from the data. Give it `label_names`."
                )
            else:
                self.configure_model()
        return super().named_parameters(prefix, recurse, remove_duplicate)
