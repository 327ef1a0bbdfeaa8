"""Classifier: what the classifiers of texts and of images share.

Letters: B examples in a batch, C classes.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

from lit_hf.batches import ClassOutput, ImageBatch, LossTerms, Plain, Prediction, TextBatch
from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType, checked_names
from lit_hf.functional.unpacking import Unpack
from lit_hf.metrics.class_counts import ClassCounts
from lit_hf.metrics.classification import MOST_CLASSES, one_sided
from lit_hf.metrics.function import FunctionMetric
from lit_hf.modules.base import HFModule
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.decoding.classification import (
    ClassScores,
    decided,
    predict_classes,
    score_classes,
    truth_of,
)
from lit_hf.modules.losses import LossFunction, class_terms, plain_loss
from lit_hf.modules.module_classes import ModuleClasses, check_loaders
from lit_hf.modules.shared_settings import ModuleSettings
from lit_hf.modules.stage_metrics import taking_nothing
from lit_hf.modules.stage_scores import Stage
from lit_hf.modules.target_checks import check_labels
from lit_hf.pretrained.hf_objects import ModelSource
from lit_hf.pretrained.label_names import check_number, names_of

log = logging.getLogger(__name__)
ClassBatch = TextBatch | ImageBatch


class Classifier(ModuleClasses, HFModule):
    """A model that gives logits of classes, or one number: the base of classifiers.

    Args:
        model_name: Hub id or folder of the model; or the model itself, or its config.
        label_names: names of the classes in order; without them those of the data or the model.
        problem_type: "single_label" for one class each, "multi_label" for any number of classes
            each, "regression" for a number; without it that of the data or of a trained model,
            else "single_label".
        positive_label: name of the class, of two, whose F1 is reported; without it the last
            (number 1). The order of the classes stays. Of more classes F1 is the mean over them.
        num_labels: number of the classes, where nobody names them; they are LABEL_0, LABEL_1 ….
        settings: those of `HFModule`.

    Attributes:
        labels_are: "names" of the classes or their "numbers" in the rows that were trained; None
            where they cannot be both.
    """

    labels_are: str | None = None
    _told: frozenset[str] = frozenset()

    def __init__(
        self,
        model_name: ModelSource,
        label_names: list[str] | None = None,
        problem_type: ProblemType | None = None,
        positive_label: str | None = None,
        num_labels: int | None = None,
        **settings: Unpack[ModuleSettings],
    ) -> None:
        super().__init__(model_name, **settings)
        self._chose_problem, problem_type = problem_type is not None, problem_type or "single_label"
        if label_names is not None and problem_type == "regression":
            raise InputError("`label_names` name classes; a regression has none, leave them out.")
        self.label_names = checked_names(label_names, problem_type)
        check_number(num_labels, self.label_names, problem_type)
        self.problem_type: ProblemType = problem_type
        self.num_labels = num_labels
        self.positive_label = positive_label
        self._chose_positive = positive_label is not None
        self.check_positive()

    def setup(self, stage: str) -> None:
        """Compare how labels are read with the training."""
        super().setup(stage)
        self._take_reading()

    def on_train_start(self) -> None:
        """Look whether loaders that are given without their data have the classes of the model."""
        super().on_train_start()
        check_loaders(self.trainer, self.trainer.train_dataloader, self.model.config)

    def on_validation_start(self) -> None:
        """Look whether the loaders have the classes of the model."""
        super().on_validation_start()
        check_loaders(self.trainer, self.trainer.val_dataloaders, self.model.config)

    def on_test_start(self) -> None:
        """Look whether the loaders have the classes of the model."""
        super().on_test_start()
        check_loaders(self.trainer, self.trainer.test_dataloaders, self.model.config)

    def _take_reading(self) -> None:
        """Take from the data whether labels are names or numbers of the classes.

        Raises:
            InputError: if the module was trained on the other ones.
        """
        trainer = self._trainer
        if trainer is None or trainer.state.fn == "predict":  # whose labels are not read
            return
        found = DataFacts(trainer).labels_are
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
        return {**super().settings(), **held}

    def take_settings(self, known: Mapping[str, Any]) -> None:
        """Take how labels are read."""
        self.labels_are = self.labels_are or known.get("labels_are")

    # The contract.

    def loss_terms(
        self, batch: ClassBatch, output: ClassOutput, loss: LossFunction | None
    ) -> LossTerms:
        """The loss of each example; of mixed images by their shares of the classes."""
        logits, labels = output["logits"], batch["labels"]
        check_labels(logits, labels, self.problem_type)
        mixed = batch.get("targets")
        targets = mixed if isinstance(mixed, Tensor) else labels
        return class_terms(
            loss or plain_loss(self.problem_type), logits, targets, self.problem_type
        )

    def decode(
        self, batch: ClassBatch, output: ClassOutput, rows: Sequence[int] | None = None
    ) -> ClassScores:
        """Logits and probabilities of each row, or of some."""
        logits = output["logits"]
        return score_classes(logits if rows is None else logits[list(rows)], self.problem_type)

    def decide(self, scores: ClassScores) -> list[Prediction]:
        """The likeliest class of each row, the classes above one half, or its number."""
        return predict_classes(scores, self.problem_type, self.label_names or [])

    def truth(self, batch: ClassBatch, row: int) -> Plain | list[str]:
        """The class of a row, its classes, or its number."""
        truth = truth_of(batch["labels"][row], self.problem_type, self.label_names or [])
        return cast("Plain | list[str]", truth)

    def metric_inputs(
        self, metric: nn.Module, batch: ClassBatch, scores: ClassScores
    ) -> tuple[object, ...]:
        """Probabilities [B, C] and labels [B], or [B, C] and [B, C]; of a regression [B] and [B].

        A `Binary…` metric gets the probability of the positive class [B], and whether it is the
        label. A function gets the classes that are predicted in place of their probabilities.

        Raises:
            InputError: if a `Multiclass…` metric would get flags.
        """
        labels = batch["labels"]
        if self.problem_type == "regression":
            inputs = scores.logits[:, 0], labels
        elif isinstance(metric, FunctionMetric) or getattr(metric, "takes", None) == "classes":
            inputs = decided(scores, self.problem_type).long(), labels.long()
        elif getattr(metric, "takes", None) == "logits":
            inputs = scores.logits, labels
        elif _is_kind(metric, "Multiclass") and self.problem_type == "multi_label":
            # Of [B, C] and [B, C] torchmetrics makes numbers of something else.
            raise InputError(
                f"`metrics`: {type(metric).__name__} counts rows of one class each, but these have "
                "any number of labels; take a `Multilabel…` class, or a function."
            )
        elif _is_kind(metric, "Binary") and self.problem_type == "single_label":
            positive = self.positive_number()
            inputs = scores.probabilities[:, positive], (labels == positive).long()
        else:
            inputs = scores.probabilities, labels.long()
        return inputs

    # Scores.

    def setup_metrics(self) -> None:
        """Make the metrics, and learn the names of the classes where none were given."""
        names = names_of(self.model.config)
        self.learn_names(self.model.config)
        super().setup_metrics()
        self.confusion = nn.ModuleDict()
        if self.problem_type == "single_label" and len(names) <= MOST_CLASSES:
            for stage in ("val", "test"):
                self.confusion[stage] = MulticlassConfusionMatrix(len(names), validate_args=False)

    def count(self, batch: ClassBatch, scores: ClassScores, kept: Tensor, stage: Stage) -> None:
        """Count a batch in the confusion matrix too."""
        if stage in self.confusion and kept.any():
            found = decided(scores, self.problem_type)[kept], batch["labels"][kept]
            cast("Metric", self.confusion[stage]).update(*found)

    def scores(self, stage: Stage) -> dict[str, Tensor]:
        """The scores of an evaluation by name."""
        values = super().scores(stage)
        is_alone = self._trainer is not None and self._trainer.state.fn in ("validate", "test")
        found = one_sided(self.metrics_of(stage).own, values, self.label_names or [])
        self._tell_one_sided(stage, found, is_alone)
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
        if stage not in self.confusion:
            return None
        with taking_nothing():
            return cast("Tensor", cast("Metric", self.confusion[stage]).compute())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the positive class, also one that was not chosen."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["hyper_parameters"]["positive_label"] = self.positive_label
        if self.labels_are is not None:
            checkpoint["lit_hf"]["labels_are"] = self.labels_are

    def take_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the positive class of the checkpoint where none was chosen.

        It is the same class by its number: the data may give other names to its classes.

        Raises:
            InputError: if a training that goes on has chosen another one.
        """
        super().take_checkpoint(checkpoint)
        self.labels_are = (checkpoint.get("lit_hf") or {}).get("labels_are") or self.labels_are
        self._take_reading()
        held = (checkpoint.get("hyper_parameters") or {}).get("positive_label")
        trained = names_of(self.model.config)
        if held not in trained:
            return
        assert self.label_names is not None
        known = self.label_names[trained.index(held)]
        if not self._chose_positive:
            self.positive_label = known
            for stage in ("val", "test"):
                counts = cast("ClassCounts", self.metrics_of(stage).own["classes"])
                counts.positive = self.positive_number()
        elif self.positive_label != known and self._trainer and self._trainer.state.fn == "fit":
            raise InputError(
                f"`positive_label` is {self.positive_label!r}, that of the checkpoint {known!r}: "
                "a training that goes on compares its F1 with the best one before, of the same "
                f"class. Leave {known!r} and choose another one in `validate` or `test`; or begin "
                "a new training with `ckpt_path: null`."
            )


def _is_kind(metric: nn.Module, begin: str) -> bool:
    """Whether a metric, one that it wraps or a base class of it is a `Binary…` or the like."""
    kinds = (kind for part in metric.modules() for kind in type(part).__mro__)
    return any(kind.__name__.startswith(begin) for kind in kinds)
