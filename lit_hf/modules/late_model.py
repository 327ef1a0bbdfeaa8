"""A module whose model is made late: by a Trainer that has set up the data, or when touched."""

from collections.abc import Iterator
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from transformers import PreTrainedModel

from lit_hf.distributed.fsdp import is_sharded
from lit_hf.modules.compiled import without_compiled


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
    asks for the weights gets them, so that `module.freeze()` freezes, an optimizer of
    `module.parameters()` has all of them, and a copy has the same. To print the module or to change
    its mode takes none; to move or to copy one that waits for its data takes none either.
    """

    model: PreTrainedModel
    model_name: str

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
        """Whether the data may want another model than would be made without it."""
        return False

    def _make_early(self) -> None:
        if self._trainer is None and "model" not in self._modules:
            self.configure_model()

    def named_modules(self, *args: Any, **settings: Any) -> Iterator[tuple[str, nn.Module]]:  # noqa: ANN401 - as torch has them
        """All parts by name; `parameters`, `buffers` and `freeze` ask for them."""
        self._make_early()
        yield from super().named_modules(*args, **settings)

    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """The parts of the module by name, as Lightning's summary lists them."""
        self._make_early()
        yield from super().named_children()

    def modules(self, remove_duplicate: bool = True) -> Iterator[nn.Module]:
        """All parts; Lightning asks for them to move a module, which may wait for its data."""
        if not self.waits_for_data():
            self._make_early()
        yield from (part for _, part in super().named_modules(remove_duplicate=remove_duplicate))

    def children(self) -> Iterator[nn.Module]:
        """The parts that are there: to change their mode takes no weights."""
        yield from dict.fromkeys(part for part in self._modules.values() if part is not None)

    def state_dict(self, *args: Any, **settings: Any) -> dict[str, Any]:  # type: ignore[override]  # noqa: ANN401 - torch has overloads
        """The weights by name."""
        self._make_early()
        return cast("dict[str, Any]", super().state_dict(*args, **settings))

    def extra_repr(self) -> str:
        """What there is to see of a model that is not made yet."""
        is_made = "model" in self._modules
        return "" if is_made else f"model: {self.model_name!r}, loaded when it is first used"

    def __getstate__(self) -> dict[str, Any]:
        if not self.waits_for_data():
            self._make_early()
        return without_compiled(super().__getstate__())
