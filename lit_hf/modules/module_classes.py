"""The classes of a module: how many they are, what they are called, which of two is positive."""

from typing import cast

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import CombinedLoader
from transformers import PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.exportable import Exportable
from lit_hf.modules.heads import HeadCallable
from lit_hf.modules.task_model import TaskModel, names_remedy
from lit_hf.pretrained.given_model import GivenModel
from lit_hf.pretrained.label_names import (
    check_names,
    check_number,
    check_number_of_given,
    keeps_head,
    names_of,
    numbers_of,
    positive_class,
    write_names,
)


class ModuleClasses(Exportable, TaskModel):
    """Knows the classes of a module, by what it was given, by its data, and by its model."""

    label_names: list[str] | None
    num_labels: int | None
    problem_type: ProblemType
    positive_label: str | None
    given: GivenModel
    model: PreTrainedModel
    model_name: str
    pretrained: bool
    _chose_positive: bool
    _chose_problem: bool
    _is_unnamed = False  # the names are the numbers that stand in the model's config
    _make_head: HeadCallable | None = None

    def waits_for_data(self) -> bool:
        """Whether only the data knows the classes, before the model is there."""
        is_counted = self.num_labels is not None or self.given.model is not None
        is_known = self.label_names is not None or (is_counted and not self._chose_positive)
        return not is_known and self.problem_type != "regression"

    def take_problem(self, problem: ProblemType) -> None:
        """Take what the labels are from the data or the model."""
        self.problem_type = self.hparams["problem_type"] = problem
        if problem != "single_label" and not self._chose_positive:
            self.positive_label = None

    def learn_problem(self, config: PreTrainedConfig) -> None:
        """Take what the labels are from a trained model, where it is not set; the data goes first.

        Args:
            config: of the model.

        Raises:
            InputError: if an evaluation reads the labels of its data otherwise.
        """
        found = cast("ProblemType | None", type(self).settings_in(config).get("problem_type"))
        is_counted = self.label_names is not None or self.num_labels is not None
        is_new = found == "regression" and is_counted  # a head of one output gets classes
        if self._chose_problem or is_new or found in (None, self.problem_type):
            return
        if DataFacts(self._trainer).problem_type is None:
            self.take_problem(found)
        elif self.trainer.state.fn != "fit":
            raise InputError(
                f"the data is of `problem_type: {self.problem_type}`, but model "
                f"{self.model_name!r} is one of {found!r}. Set `problem_type={found!r}` in the "
                "data, and rows to go with it."
            )

    def check_positive(self) -> None:
        """Compare the positive class with the names of the classes, as soon as they are known.

        Raises:
            InputError: if it is none of two.
        """
        self.positive_label = positive_class(
            self.positive_label, self.label_names, self.problem_type
        )

    def positive_number(self) -> int:
        """Number of the positive class, of two; 1 where there is none."""
        label, names = self.positive_label, self.label_names or []
        return names.index(label) if label is not None else 1

    def take_names(self, stage: str) -> None:
        """Take the names of the classes from the data where none were given.

        Raises:
            InputError: if the data has other classes, or another number of them.
        """
        found = DataFacts(self.trainer).label_names if stage != "predict" else None
        check_number(self.num_labels, found, self.problem_type)
        self.label_names = self.names_with_data(stage)
        if found is not None and self._is_unnamed:  # the model was made before
            keeps_head(self.model.config, found, self.model_name)
            write_names(self.model.config, found)
            self.hparams["label_names"] = self.label_names = list(found)
            self._is_unnamed = False
            if not self._chose_positive:
                self.positive_label = None
        self.check_positive()

    def learn_names(self, config: PreTrainedConfig) -> None:
        """Take the names of the classes from the model where nobody else has given them."""
        if self.problem_type != "regression" and self.label_names is None:
            self.label_names = names_of(config)
            self._is_unnamed = numbers_of(self.label_names) == list(range(len(self.label_names)))
        self.check_positive()

    def complete_classes(self, config: PreTrainedConfig) -> None:
        """Set number and names of the classes in a model's config.

        Raises:
            InputError: if the model was trained on them in another order, or if one that was given
                has another number of outputs.
        """
        is_given = self.given.model is not None and self._make_head is None
        names = ["a number"] if self.problem_type == "regression" else self.label_names
        if names is None and self.num_labels not in (None, len(names_of(config))):
            names = [f"LABEL_{index}" for index in range(self.num_labels or 0)]
        if names is None:
            return
        if is_given:
            check_number_of_given(config, len(names), self.model_name)
        if self.problem_type == "regression":
            config.num_labels = 1
            return
        if is_given or (self.pretrained and self._make_head is None):
            fits = keeps_head(config, names, self.model_name, self.will_train(), is_given)
            self._keeps_head = fits or is_given
        write_names(config, names)

    def check_config(self, config: PreTrainedConfig) -> None:
        """Refuse a checkpoint of other classes, or of another number of them."""
        check_number(self.num_labels, names_of(config), self.problem_type)
        super().check_config(config)


def check_loaders(trainer: Trainer, loaders: object, config: PreTrainedConfig) -> None:
    """Refuse loaders of a data module, given without it, whose classes are not those of a model.

    Args:
        trainer: one with a data module has compared that.
        loaders: one of the Trainer's, or a list or dict of them; others than ours know no classes.
        config: that of the model, with the names of its classes.

    Raises:
        InputError: naming both.
    """
    is_alone = DataFacts(trainer).source is None and loaders is not None
    for loader in CombinedLoader(loaders).flattened if is_alone else []:
        found = getattr(getattr(loader, "collate_fn", None), "label_names", None)
        if found is not None:
            remedy = names_remedy(trainer.state.fn, found)
            check_names(names_of(config), found, "the module", remedy)
