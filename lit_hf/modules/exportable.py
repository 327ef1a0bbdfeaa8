"""What is written of a module as an ordinary folder, and what such a folder says of it."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from transformers import PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.functional.given_settings import own_settings
from lit_hf.modules.compiled import plain_model
from lit_hf.modules.usage import Usage, own_usage
from lit_hf.pretrained.given_model import check_kind, config_by_class


class Exportable(LightningModule):
    """Gives a model to write, and the settings that are to be known beside it.

    Attributes:
        model_kind: which models it takes in place of a name, in words; None for any.
    """

    task: str
    model_kind: str | None = None
    model: PreTrainedModel
    exported: Mapping[str, Any] = {}  # what the folder says that an evaluation asks

    def write_processor(self, folder: Path) -> None:
        """Write the tokenizer or image processor of the data, or of the base model."""
        raise NotImplementedError

    def settings(self) -> dict[str, object]:
        """What the answers depend on besides the weights, in plain types; exports keep it.

        Of a class of the user's own these are the arguments that only it has, kept under their
        names; passwords and keys are not among what is written.
        """
        return own_settings(self)

    def take_settings(self, known: Mapping[str, Any]) -> None:
        """Answer as an export says, in what was not set otherwise.

        Args:
            known: what `settings` gave in the training, and how the data was read.
        """

    def export_model(self) -> PreTrainedModel:
        """The plain model that is written into a folder."""
        return plain_model(self.model)

    def usage(self, inputs: Mapping[str, object], folder: Path) -> Usage:
        """How the folder of an export is used, for its card.

        Args:
            inputs: how the data was read in training; {} where that is not known.
            folder: of the export.
        """
        auto = getattr(getattr(self, "auto_class", None), "__name__", "AutoModel")
        return own_usage(self.task, auto)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model as transformers does, and its tokenizer or image processor, if any."""
        self.export_model().save_pretrained(folder)
        with suppress(InputError):  # a model without one of its own
            self.write_processor(Path(folder))

    def use_model(self, model: PreTrainedModel) -> PreTrainedModel:
        """Take the model that was given in place of a name, or make one of the task of it."""
        if self.model_kind is not None:
            check_kind(model, type(self), self.takes(config_by_class(model)), self.model_kind)
        return model

    @classmethod
    def takes(cls, config: PreTrainedConfig) -> bool:
        """Whether a model that others have trained is one of this task."""
        return False

    @classmethod
    def settings_in(cls, config: PreTrainedConfig) -> dict[str, object]:
        """Arguments of the constructor that a model's config determines."""
        return {}
