"""TaskModel: how the Hugging Face model of a task is loaded, and what its classes are called."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule
from transformers import PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.functional.precision import precise
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.stage_metrics import Stage
from lit_hf.pretrained.label_names import (
    check_names,
    keeps_head,
    names_of,
    names_of_trained,
    write_names,
)
from lit_hf.pretrained.models import Auto, from_config, from_pretrained, reinit_head


class TaskModel(LightningModule):
    """What a task says of its model; `auto_class` does for most.

    Attributes:
        auto_class: class of transformers that loads the model, such as
            `AutoModelForTokenClassification`; or a class of models, such as one with a layer more.
        label_names: names of the classes in order, of a task that has classes; they go into the
            config of the model, and come from the data where the constructor was given none.
    """

    auto_class: Auto
    label_names: list[str] | None = None
    model: PreTrainedModel
    model_name: str
    pretrained: bool
    _keeps_head: bool = True

    def load_model(self, config: PreTrainedConfig, pretrained: bool) -> PreTrainedModel:
        """Make the model of the config, with the weights of `model_name` or with random ones."""
        if not pretrained:
            return from_config(self.auto_class, config)
        model = from_pretrained(self.auto_class, self.model_name, config)
        if not self._keeps_head:
            reinit_head(model)
        return model

    def will_train(self) -> bool:
        """Whether a training follows, as far as is known."""
        return self._trainer is None or self._trainer.state.fn == "fit"

    def names_with_data(self, stage: str) -> list[str] | None:
        """The names of the classes; where the module has none, those of the Trainer's data.

        Args:
            stage: what the Trainer does; rows to predict know no classes.

        Raises:
            InputError: if both have names, and these are others.
        """
        found = DataFacts(self.trainer).label_names if stage != "predict" else None
        if found is not None and self.label_names is not None:
            check_names(self.label_names, found, "the module", names_remedy(stage, found))
        return list(self.label_names or found or []) or None

    def take_names(self, stage: str) -> None:
        """Take the names of the classes from the Trainer's data, where both have such.

        Raises:
            InputError: if the data has other classes, or more than a model that is there already.
        """
        self.label_names = self.names_with_data(stage)
        if self.label_names is None or "model" not in self._modules:
            return
        trained = names_of(self.model.config)
        if len(trained) != len(self.label_names):
            raise InputError(
                f"the model was made before the data was known, for {len(trained)} classes, but "
                f"the data has {len(self.label_names)}: give the module "
                f"`label_names={self.label_names}` when it is made."
            )

    def complete_config(self, config: PreTrainedConfig) -> None:
        """Write what the task knows into the config: number and names of the classes.

        Raises:
            InputError: if the classes that the model was trained on are the same in another order.
        """
        if self.label_names is None:
            return
        if self.pretrained:
            fits = keeps_head(config, self.label_names, self.model_name, self.will_train())
            self._keeps_head = fits
        write_names(config, self.label_names)

    def check_config(self, config: PreTrainedConfig) -> None:
        """Refuse the config of a checkpoint that does not fit what the task knows."""
        self.label_names = names_of_trained(config, self.label_names)
        if self.label_names is not None:
            self.hparams["label_names"] = self.label_names

    def run(self, batch: Any, stage: Stage) -> Any:  # noqa: ANN401 - a batch of the task, its output
        """Run the model on a batch, which has no labels where answers are predicted.

        Args:
            batch: as the data module of the task makes it.
            stage: "train", "val", "test" or "predict".

        Returns:
            What the other hooks read, such as `logits`.
        """
        return {"logits": precise(self(batch).logits)}


def names_remedy(stage: str | None, found: Sequence[str]) -> str:
    """What gives module and data the same classes: a trained module keeps those that it has."""
    if stage == "fit":
        return f"Give the module `label_names={list(found)}` when it is made."
    return "Give the data `label_names=module.label_names` (its rows need not have every class)."
