"""CPUPatches: a callback that makes a model faster while a Trainer runs it."""

from collections.abc import Callable

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.modules.base import HFModule


class CPUPatches(Callback):
    """Changes how a model computes, not what, before the first batch; and back in the end."""

    def __init__(self) -> None:
        self._undo: Callable[[], None] | None = None

    def __getstate__(self) -> dict[str, object]:  # a copy has changed no model
        return {**vars(self), "_undo": None}

    def apply_cpu_patches(self, trainer: Trainer, module: HFModule) -> Callable[[], None] | None:
        """Change the model; what it returns puts the model back as it was."""
        raise NotImplementedError

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._undo is None and isinstance(pl_module, HFModule):
            self._undo = self.apply_cpu_patches(trainer, pl_module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin before the first batch, once: a validation may be within a training."""
        self._begin(trainer, pl_module)

    on_validation_start = on_test_start = on_predict_start = on_fit_start

    def teardown(self, *args: object, **kwargs: object) -> None:
        """Leave the model as it was; after an exception Lightning tears nothing down."""
        self._end()

    on_exception = teardown

    def _end(self) -> None:
        if self._undo is not None:
            self._undo()
            self._undo = None
