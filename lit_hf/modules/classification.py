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
from lit_hf.metrics.classification import MOST_CLASSES
from lit_hf.metrics.function import FunctionMetric
from lit_hf.modules.base import HFModule
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.decoding.classification import (
    ClassScores,
    decided,
    in_plain,
    predict_classes,
    score_classes,
)
from lit_hf.modules.losses import LossFunction, class_terms, plain_loss
from lit_hf.modules.module_classes import ModuleClasses, check_loaders
from lit_hf.modules.shared_settings import ModuleSettings
from lit_hf.modules.stage_metrics import Stage, without_warnings
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
    _reported: frozenset[str] = frozenset()

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

    def check_loaders(self, loaders: object) -> None:
        """Refuse loaders that are given without their data and have other classes."""
        check_loaders(self.trainer, loaders, self.model.config)

    def _take_reading(self) -> None:
        """Take from the data whether labels are names or numbers of the classes.

        Raises:
            InputError: if the module was trained on the other ones.
        """
        trainer = self._trainer
        if trainer is None or trainer.state.fn == "predict":  # whose labels are not read
            return
        found = DataFacts(trainer).labels_are
        if found is not None and self.labels_are not in (None, found):
            raise InputError(
                f"labels of the rows are read as {found} of the classes {self.label_names or []}, "
                f"in the training of this model as their {self.labels_are}: give the training rows "
                "too, which decide (`train_file`), or the exported folder as `model_name`."
            )
        self.labels_are = self.labels_are or found

    def settings(self) -> dict[str, object]:
        """What an export keeps: how labels are read."""
        reading = {} if self.labels_are is None else {"labels_are": self.labels_are}
        return {**super().settings(), **reading}

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
        truth = in_plain(batch["labels"][row], self.problem_type, self.label_names or [])
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
        labels, is_single = batch["labels"], self.problem_type == "single_label"
        if self.problem_type == "regression":
            return scores.logits[:, 0], labels
        if isinstance(metric, FunctionMetric):
            return decided(scores, self.problem_type).long(), labels.long()
        if getattr(metric, "takes", None) == "logits":
            return scores.logits, labels
        if _is_kind(metric, "Multiclass") and not is_single:
            # Of [B, C] and [B, C] torchmetrics makes numbers of something else.
            raise InputError(
                f"`metrics`: {type(metric).__name__} counts rows of one class each, but these have "
                "any number of labels; take a `Multilabel…` class, or a function."
            )
        if _is_kind(metric, "Binary") and is_single:
            positive = self.positive_number()
            return scores.probabilities[:, positive], (labels == positive).long()
        return scores.probabilities, labels.long()

    # Scores.

    def setup_metrics(self) -> None:
        """Make the metrics, and learn the names of the classes where none were given."""
        num_classes = len(names_of(self.model.config))
        self.learn_names(self.model.config)
        super().setup_metrics()
        self.confusion = nn.ModuleDict()
        if self.problem_type == "single_label" and num_classes <= MOST_CLASSES:
            for stage in ("val", "test"):
                self.confusion[stage] = MulticlassConfusionMatrix(num_classes, validate_args=False)

    def count(self, batch: ClassBatch, scores: ClassScores, kept: Tensor, stage: Stage) -> None:
        """Count a batch in the confusion matrix too."""
        if stage in self.confusion and kept.any():
            found = decided(scores, self.problem_type)[kept], batch["labels"][kept]
            cast("Metric", self.confusion[stage]).update(*found)

    def scores(self, stage: Stage) -> dict[str, Tensor]:
        """The scores of an evaluation by name; says what they are of, once in a training."""
        values = super().scores(stage)
        is_alone = self._trainer is not None and self._trainer.state.fn in ("validate", "test")
        found = self._undefined(stage, values)
        is_sane = self._trainer is not None and self._trainer.sanity_checking
        if found and not is_sane and (is_alone or found not in self._reported):
            self._reported = self._reported | {found}
            log.warning(f"`{stage}`: {found}.")
        if is_alone and self.positive_label is not None:
            log.info(f"`{stage}/f1` is that of the positive class {self.positive_label!r}.")
        return values

    def _undefined(self, stage: Stage, values: Mapping[str, Tensor]) -> str:
        """Why scores say little or nothing of rows that are all alike; "" where they do."""
        matrix = self.confusion_matrix(stage)
        classes = [] if matrix is None else matrix.sum(1).nonzero().flatten().tolist()
        if len(classes) == 1:
            name = (self.label_names or [])[classes[0]]
            return f"all rows are of the class {name!r}: F1 says little of them, AUROC nothing"
        names = [n for n in ("auroc", "pearson") if n in values and values[n].isnan()]
        is_number = bool(values["loss"].isfinite())
        return f"{names[0]} is undefined, as the rows are all alike" if names and is_number else ""

    def confusion_matrix(self, stage: Stage) -> Tensor | None:
        """How often which class was taken for which, [C, C] int64: rows truth, columns prediction.

        Of all examples that an evaluation has counted so far, summed over the processes, each of
        which has to call it. None for more than 1000 classes. Forgotten with the scores.
        """
        if stage not in self.confusion:
            return None
        with without_warnings():
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
            InputError: if a training that resumes has chosen another one.
        """
        super().take_checkpoint(checkpoint)
        self.labels_are = (checkpoint.get("lit_hf") or {}).get("labels_are") or self.labels_are
        self._take_reading()
        saved = (checkpoint.get("hyper_parameters") or {}).get("positive_label")
        trained = names_of(self.model.config)
        if saved not in trained:
            return
        assert self.label_names is not None
        known = self.label_names[trained.index(saved)]
        if not self._chose_positive:
            self.positive_label = known
        elif self.positive_label != known and self._trainer and self._trainer.state.fn == "fit":
            raise InputError(
                f"`positive_label` is {self.positive_label!r}, that of the checkpoint {known!r}, "
                "and a training that resumes compares its F1 with the best one before: leave "
                f"{known!r}, and choose another one in `validate` or `test`."
            )


def _is_kind(metric: nn.Module, begin: str) -> bool:
    """Whether a metric, one that it wraps or a base class of it is a `Binary…` or the like."""
    kinds = (kind for part in metric.modules() for kind in type(part).__mro__)
    return any(kind.__name__.startswith(begin) for kind in kinds)
