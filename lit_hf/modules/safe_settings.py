"""Arguments of a module as loggers show them: without passwords and keys."""

from typing import cast

from lightning.fabric.utilities.data import AttributeDict
from lightning.pytorch import LightningModule

from lit_hf.functional.credentials import without_secrets
from lit_hf.safe_loading import SafeLoading


class SafeSettings(SafeLoading, LightningModule):
    """Gives loggers the arguments of the module without passwords and keys."""

    @property
    def hparams_initial(self) -> AttributeDict:
        """The arguments, with stars in place of what is secret."""
        settings = cast("dict[str, object]", without_secrets(dict(super().hparams_initial)))
        return AttributeDict(settings)
