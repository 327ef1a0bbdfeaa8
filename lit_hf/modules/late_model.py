"""A module whose model is loaded late: by a Trainer that has prepared the data, or when touched."""

import logging
from collections.abc import Iterator

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import ModelPruning, StochasticWeightAveraging
from torch import nn
from transformers import PreTrainedModel

log = logging.getLogger(__name__)
_EARLY = (StochasticWeightAveraging, ModelPruning)


class LateModel(LightningModule):
    """Loads its model when that is first touched, by its name or by its weights.

    `configure_model` makes it, at the latest when a Trainer calls that. Before there is a Trainer
    whoever asks for the weights gets them, so that `module.freeze()` freezes, and a loop over
    `module.named_parameters()` finds all. While a Trainer sets up, its callbacks and Lightning
    itself ask too, before the rows are checked: then there are none yet. Neither are there any
    where only the data knows what the model is of, which is told.
    """

    model: PreTrainedModel

    def __getattr__(self, name: str) -> torch.Tensor | nn.Module:
        if name == "model" and "model" not in self.__dict__.get("_modules", {"model": None}):
            self.configure_model()
        return super().__getattr__(name)

    def configure_callbacks(self) -> list[Callback]:
        """Make the model before callbacks set up that look at its weights there; adds none.

        `StochasticWeightAveraging` copies the module, and of one without weights it averages
        nothing; `ModelPruning` picks its weights. Others wait until the rows are checked.
        """
        if self.trainer.state.fn == "fit" and any(
            isinstance(callback, _EARLY)
            for callback in self.trainer.callbacks  # type: ignore[attr-defined]  # of a connector
        ):
            self.configure_model()
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
