"""The classes of a module: how many they are, what they are called, which of two is positive."""

from typing import cast

from transformers import PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.exportable import Exportable
from lit_hf.modules.heads import HeadCallable
from lit_hf.modules.label_names import (
    keeps_given_head,
    keeps_head,
    names_with_data,
    positive_class,
    write_names,
)
from lit_hf.modules.num_labels import (
    check_number_of_data,
    check_number_of_given,
    numbered_names,
)
from lit_hf.modules.task_model import TaskModel
from lit_hf.pretrained.given_model import GivenModel
from lit_hf.pretrained.trained_names import names_of, numbers_of


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
    _keeps_head = True
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
        """Take what the labels are from a trained model, where nobody has said it; data goes first.

        Args:
            config: of the model.

        Raises:
            InputError: if an evaluation reads the labels of its data otherwise.
        """
        found = cast("ProblemType | None", type(self).settings_in(config).get("problem_type"))
        is_number = found == "regression"
        is_new = is_number and (self.label_names is not None or self.num_labels is not None)
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
        check_number_of_data(self.num_labels, found)
        names = names_with_data(self.trainer, stage, self.label_names)
        if found is not None and self._is_unnamed:  # the model was made before
            keeps_head(self.model.config, found, self.model_name)
            write_names(self.model.config, found)
            self.hparams["label_names"] = names = list(found)
            self._is_unnamed = False
            if not self._chose_positive:
                self.positive_label = None
        self.label_names = names
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
        if self.problem_type == "regression":
            if is_given:
                check_number_of_given(config, ["a number"], self.model_name)
            config.num_labels = 1
            return
        names = self.label_names
        if names is None and self.num_labels not in (None, len(names_of(config))):
            names = numbered_names(self.num_labels or 0)
        if names is None:
            return
        if is_given:
            check_number_of_given(config, names, self.model_name)
            keeps_given_head(config, names, self.model_name, self._trainer)
        elif self.pretrained and self._make_head is None:
            self._keeps_head = keeps_head(config, names, self.model_name, self._trainer)
        write_names(config, names)

    def check_config(self, config: PreTrainedConfig) -> None:
        """Refuse a checkpoint of other classes, or of another number of them."""
        check_number_of_data(self.num_labels, names_of(config))
        super().check_config(config)
