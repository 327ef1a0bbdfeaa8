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
from lit_hf.modules.base import Stage
from lit_hf.modules.class_names import positive_class

log = logging.getLogger(__name__)


class ClassScores(LightningModule):
    """What `TextClassifier` and `ImageClassifier` share; stands before `HFModule` in their bases.

    Attributes:
        label_names: the C class names; known when the model is there.
        positive_label: the class of two whose F1 is reported; None where there are not two.
        problem_type: what the labels are.
    """

    label_names: list[str] | None
    positive_label: str | None
    problem_type: ProblemType = "single_label"
    metrics: nn.ModuleDict

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
        """The scores of an evaluation by name, then forgotten."""
        scores = self._of_stage(stage)
        values = scores.compute()
        scores.reset()
        is_alone = self._trainer is not None and self._trainer.state.fn in ("validate", "test")
        if is_alone and self.positive_label is not None:
            log.info(f"`{stage}/f1` is that of the positive class {self.positive_label!r}.")
        return values

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

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the positive class of the checkpoint where none was chosen.

        It is the same class by its number: the data may give other names to its classes.

        Raises:
            InputError: if a training that goes on has chosen another one.
        """
        super().on_load_checkpoint(checkpoint)
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
