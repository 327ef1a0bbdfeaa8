"""ClassScores: the scores of classifiers, of texts and of images, and which class F1 is of.

Letters: C classes.
"""

import logging
from typing import Any, cast

from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.trained_names import names_of
from lit_hf.metrics.classification import ClassificationScores
from lit_hf.modules.class_names import check_loaders, positive_class
from lit_hf.modules.stage_scores import Stage

log = logging.getLogger(__name__)


class ClassScores(LightningModule):
    """What `TextClassifier` and `ImageClassifier` share; stands before `HFModule` in their bases.

    Attributes:
        label_names: the C class names; known when the model is there.
        positive_label: the class of two whose F1 is reported; None where there are not two.
        problem_type: what the labels are.
        labels_are: "names" of the classes or their "numbers" in the rows that were trained; None
            where they cannot be both.
    """

    label_names: list[str] | None
    positive_label: str | None
    problem_type: ProblemType = "single_label"
    metrics: nn.ModuleDict
    labels_are: str | None = None
    _told: frozenset[str] = frozenset()

    def setup(self, stage: str) -> None:
        """Compare how labels are read with the training."""
        super().setup(stage)
        self._take_reading()

    def on_train_start(self) -> None:
        """Look whether loaders that are given without their data have the classes of the model."""
        super().on_train_start()
        check_loaders(self.trainer, self.trainer.train_dataloader, cast("Any", self).model.config)

    def on_validation_start(self) -> None:
        """Look whether the loaders have the classes of the model."""
        super().on_validation_start()
        check_loaders(self.trainer, self.trainer.val_dataloaders, cast("Any", self).model.config)

    def on_test_start(self) -> None:
        """Look whether the loaders have the classes of the model."""
        super().on_test_start()
        check_loaders(self.trainer, self.trainer.test_dataloaders, cast("Any", self).model.config)

    def _take_reading(self) -> None:
        """Take from the data whether labels are names or numbers of the classes.

        Raises:
            InputError: if the module was trained on the other ones.
        """
        trainer = self._trainer
        if trainer is None or trainer.state.fn == "predict":  # whose labels are not read
            return
        found = getattr(getattr(trainer, "datamodule", None), "labels_are", None)
        if self.labels_are is None:
            self.labels_are = found
        elif found not in (None, self.labels_are):
            names = self.label_names or []
            raise InputError(
                f"labels of the rows are read as {found} of the classes {names}, those of the "
                f"training of this model were their {self.labels_are}, so that they would mean "
                "other classes. Give the training rows too, which decide (`train_file`), or the "
                "exported folder of the model as `model_name`."
            )

    def settings(self) -> dict[str, object]:
        """What an export keeps: how labels are read."""
        held = {} if self.labels_are is None else {"labels_are": self.labels_are}
        return {**cast("Any", super()).settings(), **held}

    def waits_for_data(self) -> bool:
        """Whether only the data knows the names of the classes, before the model is there."""
        return self.label_names is None and self.problem_type != "regression"

    def new_scores(self, num_labels: int, positive: int) -> ClassificationScores:
        """Make the metrics of a stage.

        Args:
            num_labels: C.
            positive: number of the positive class, of two.
        """
        raise NotImplementedError

    def check_positive(self) -> None:
        """Compare the positive class with the names of the classes, as soon as they are known.

        Raises:
            InputError: if it is none of two.
        """
        self.positive_label = positive_class(
            self.positive_label, self.label_names, self.problem_type
        )

    def setup_scores(self) -> None:
        """Make the metrics, and learn the names of the classes where none were given."""
        names = names_of(cast("Any", self).model.config)
        if self.problem_type != "regression" and self.label_names is None:
            self.label_names = names
        self.check_positive()
        number = self._positive_number()
        self.metrics = nn.ModuleDict(
            {stage: self.new_scores(len(names), number) for stage in ("val", "test")}
        )

    def _positive_number(self) -> int:
        label, names = self.positive_label, self.label_names or []
        return names.index(label) if label is not None else 1

    def score_names(self) -> list[str]:
        """Names of the scores that an evaluation logs."""
        return self._of_stage("val").names

    def scores(self, stage: Stage) -> dict[str, Tensor] | None:
        """The scores of an evaluation by name."""
        scores = self._of_stage(stage)
        values = scores.compute()
        is_alone = self._trainer is not None and self._trainer.state.fn in ("validate", "test")
        self._tell_one_sided(stage, scores.one_sided(values, self.label_names or []), is_alone)
        if is_alone and self.positive_label is not None:
            log.info(f"`{stage}/f1` is that of the positive class {self.positive_label!r}.")
        return values

    def _tell_one_sided(self, stage: Stage, found: str, is_alone: bool) -> None:
        """Warn of rows that are all alike: in a training once, of a sanity check not at all."""
        is_sane = self._trainer is not None and self._trainer.sanity_checking
        if found and not is_sane and (is_alone or found not in self._told):
            self._told = self._told | {found}
            log.warning(f"`{stage}`: {found}.")

    def confusion_matrix(self, stage: Stage) -> Tensor | None:
        """How often which class was taken for which, [C, C] int64: rows truth, columns prediction.

        Of all examples that an evaluation has counted so far, summed over the processes, each of
        which has to call it. None for more than 1000 classes. Forgotten with the scores.
        """
        return self._of_stage(stage).confusion_matrix()

    def _of_stage(self, stage: Stage) -> ClassificationScores:
        return cast("ClassificationScores", self.metrics[stage])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the positive class, also one that was not chosen."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["hyper_parameters"]["positive_label"] = self.positive_label
        if self.labels_are is not None:
            checkpoint["lit_hf"]["labels_are"] = self.labels_are

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the positive class of the checkpoint where none was chosen.

        It is the same class by its number: the data may give other names to its classes.

        Raises:
            InputError: if a training that goes on has chosen another one.
        """
        super().on_load_checkpoint(checkpoint)
        self.labels_are = (checkpoint.get("lit_hf") or {}).get("labels_are") or self.labels_are
        self._take_reading()
        held = (checkpoint.get("hyper_parameters") or {}).get("positive_label")
        trained = names_of(cast("Any", self).model.config)
        if held not in trained:
            return
        assert self.label_names is not None
        known = self.label_names[trained.index(held)]
        if self.hparams.get("positive_label") is None:
            self.positive_label = known
            for scores in self.metrics.values():
                cast("ClassificationScores", scores).set_positive(self._positive_number())
        elif self.positive_label != known and self._trainer and self._trainer.state.fn == "fit":
            raise InputError(
                f"`positive_label` is {self.positive_label!r}, that of the checkpoint {known!r}: "
                "a training that goes on compares its F1 with the best one before, of the same "
                f"class. Leave {known!r} and choose another one in `validate` or `test`; or begin "
                "a new training with `ckpt_path: null`."
            )
