"""Arguments of a module, as checkpoints and loggers have them."""

from typing import cast

from lightning.fabric.utilities.data import AttributeDict
from lightning.pytorch import LightningModule

from lit_hf.checkpointing.safe_loading import SafeLoading
from lit_hf.functional.credentials import without_secrets
from lit_hf.functional.given_settings import kept_settings, remember_given


class SafeSettings(SafeLoading, LightningModule):
    """Knows its own arguments: those that it keeps under their names.

    They are arguments of its class or of a base, and plain values, as a checkpoint can hold them;
    of a class of the user's own also those that it keeps under no name.
    What `save_hyperparameters` is given goes first.
    """

    def __init_subclass__(cls, **settings: object) -> None:
        super().__init_subclass__(**settings)
        remember_given(cls)

    @property
    def hparams(self) -> AttributeDict:
        """The arguments, which checkpoints keep."""
        known = cast("AttributeDict", super().hparams)
        for name, value in kept_settings(self).items():
            known.setdefault(name, value)
        return known

    @property
    def hparams_initial(self) -> AttributeDict:
        """The arguments as loggers show them, with stars in place of what is secret."""
        given = {**kept_settings(self), **super().hparams_initial}
        return AttributeDict(cast("dict[str, object]", without_secrets(given)))
