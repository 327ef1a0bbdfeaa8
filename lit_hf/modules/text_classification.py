"""TextClassifier: token ids to classes, several classes, or a number.

Letters: B examples in a batch, L tokens, C classes.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import cast

from torch import nn
from torchmetrics import Metric
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from lit_hf.batches import Prediction, Shown, TextBatch
from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.unpacking import Unpack
from lit_hf.metrics.classification import text_metrics
from lit_hf.modules.backbone_with_head import (
    BackboneWithHead,
    BackboneWithHeadConfig,
    build_head,
    freeze_unused,
    join,
)
from lit_hf.modules.classification import Classifier
from lit_hf.modules.compiled import plain_model
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.decoding.classification import in_words
from lit_hf.modules.heads import HeadCallable, check_head
from lit_hf.modules.shared_settings import ModuleSettings
from lit_hf.modules.usage import Usage, text_usage
from lit_hf.pretrained.hf_objects import ModelSource
from lit_hf.pretrained.label_names import names_of
from lit_hf.pretrained.models import (
    Auto,
    HFProblem,
    check_backbone,
    from_config,
    from_pretrained,
)

_HF_PROBLEM: dict[ProblemType, HFProblem] = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}


class TextSettings(ModuleSettings, total=False):
    """What `TextClassifier` hands on."""

    positive_label: str | None
    num_labels: int | None


class TextClassifier(Classifier):
    """Classifies texts, with the ready head of the model or with a head of one's own.

    Without `head` the model is `AutoModelForSequenceClassification`; with one it is the bare
    `AutoModel` (last hidden state [B, L, H], pooler output [B, H]) and the head on top. The loss is
    cross entropy (single_label), binary cross entropy (multi_label) or squared error (regression).

    Args:
        model_name: Hub id or folder of the model; or the model itself, or its config.
        label_names: names of the classes in order; without them those of the model.
        problem_type: "single_label" for one class each, "multi_label" for any number of classes
            each, "regression" for a number; without it that of the data or of a trained model,
            else "single_label".
        head: makes a head from the width of the backbone and the number of labels, such as
            `lit_hf.MeanHead`; without it the model's own head is used.
        settings: those of `HFModule`, `positive_label` and `num_labels`.

    Raises:
        InputError: when the model is loaded, if its trained classes are the same in another order.
            Other trained classes only cost the last layer, which is then re-initialised.
    """

    task = "text_classification"
    auto_class: Auto = AutoModelForSequenceClassification
    model_kind = "one `…ForSequenceClassification`, or a bare backbone with `head`"

    def __init__(
        self,
        model_name: ModelSource,
        label_names: list[str] | None = None,
        problem_type: ProblemType | None = None,
        head: HeadCallable | None = None,
        **settings: Unpack[TextSettings],
    ) -> None:
        super().__init__(model_name, label_names, problem_type, **settings)
        if head is not None and (isinstance(head, nn.Module) or not callable(head)):
            raise InputError(
                "`head` takes the class of a head, or a function that makes one for the width of "
                f"the backbone, such as `head=MyHead`, but got a {type(head).__name__}."
            )
        self._make_head = head

    # The model.

    def connect_data(self, stage: str) -> None:
        """Take the problem and the names of the classes from the data where none were given.

        Raises:
            InputError: if the data is of another problem or has other classes.
        """
        problem = DataFacts(self.trainer).problem_type or self.problem_type
        if not self._chose_problem and "model" not in self._modules:
            self.take_problem(problem)
        if problem != self.problem_type:
            raise InputError(
                f"the data is of `problem_type: {problem}`, the module of "
                f"`problem_type: {self.problem_type}`; set both the same."
            )
        super().connect_data(stage)

    def complete_config(self, config: PreTrainedConfig) -> None:
        """Set number and names of the classes; refuse trained classes in another order."""
        self.learn_problem(config)
        config.problem_type = _HF_PROBLEM[self.problem_type]
        self.complete_classes(config)

    def check_config(self, config: PreTrainedConfig) -> None:
        """Refuse a checkpoint of another problem or of other classes."""
        self.learn_problem(config)
        if config.problem_type != _HF_PROBLEM[self.problem_type]:
            raise InputError(
                f"the checkpoint was trained with the problem type {config.problem_type!r}, but "
                f"`problem_type` is {self.problem_type!r}."
            )
        super().check_config(config)

    @classmethod
    def takes(cls, config: PreTrainedConfig) -> bool:
        """Whether it is a trained classifier of sequences, or does not say what it is."""
        kinds = config.architectures or []
        trained = ("ForSequenceClassification", BackboneWithHead.__name__)
        return not kinds or any(kind.endswith(trained) for kind in kinds)

    @classmethod
    def settings_in(cls, config: PreTrainedConfig) -> dict[str, object]:
        """What the labels are; a head of one output that says nothing gives a number."""
        for problem, name in _HF_PROBLEM.items():
            if config.problem_type == name:
                return {"problem_type": problem}
        return {"problem_type": "regression"} if config.num_labels == 1 else {}

    def configure_model(self) -> None:
        """Load or build the model once; the pooler under a head that does not read it is frozen."""
        super().configure_model()
        if isinstance(model := plain_model(self.model), BackboneWithHead):
            freeze_unused(model)  # somebody may have unfrozen all weights

    def load_model(self, config: PreTrainedConfig, pretrained: bool) -> PreTrainedModel:
        """The ready model, or backbone and head; single precision."""
        if isinstance(config, BackboneWithHeadConfig):
            return self._own_head_again(config, pretrained)
        if self._make_head is not None:
            load = partial(from_pretrained, AutoModel, self.model_name)
            backbone = load(config) if pretrained else from_config(AutoModel, config)
            return self._with_head(backbone, config)
        return super().load_model(config, pretrained)

    def usage(self, inputs: Mapping[str, object], folder: Path) -> Usage:
        """How its export is used."""
        return text_usage(inputs)

    def use_model(self, model: PreTrainedModel) -> PreTrainedModel:
        """The given classifier, or the backbone of the given model with a head of one's own."""
        if self._make_head is None:
            return super().use_model(model)
        return self._with_head(cast("PreTrainedModel", model.base_model), model.config)

    def _with_head(self, backbone: PreTrainedModel, config: PreTrainedConfig) -> PreTrainedModel:
        """The backbone and a new head of one's own."""
        assert self._make_head is not None
        check_backbone(backbone)
        head = self._make_head(backbone.config.hidden_size, len(names_of(config)))
        check_head(backbone, head)
        return join(backbone, head, config)

    def _own_head_again(self, config: BackboneWithHeadConfig, pretrained: bool) -> PreTrainedModel:
        """A model that has an own head already; with a new one where that does not fit."""
        if pretrained:
            model = from_pretrained(self.auto_class, self.model_name, config)
        else:
            model = from_config(self.auto_class, config)
        assert isinstance(model, BackboneWithHead)
        if self._make_head is not None:
            return self._with_head(model.backbone, config)
        num_labels = len(names_of(config))
        if self._keeps_head and config.head["init_args"]["num_labels"] == num_labels:
            return model
        head = build_head(config.head, num_labels=num_labels)
        check_head(model.backbone, head)
        return join(model.backbone, head, config)

    def configure_metrics(self) -> dict[str, Metric]:
        """Accuracy, F1 and AUROC, or correlations and error."""
        return text_metrics(self.problem_type, len(names_of(self.model.config)))

    # The contract.

    def show(self, batch: TextBatch, row: int, prediction: Prediction) -> Shown:
        """Text, answer and truth."""
        names, answer = self.label_names or [], prediction["prediction"]
        truth = self.truth(batch, row)
        is_number = self.problem_type == "regression"
        return {
            "input": self.text_of(batch, row),
            "prediction": in_words(answer, names),
            "truth": in_words(truth, names),
            "correct": None if is_number else truth == answer,
        }

    def text_of(self, batch: TextBatch, row: int) -> str:
        """The text of a row, decoded where the batch does not hold it."""
        if "text" in batch:
            return batch["text"][row]
        is_token = batch["attention_mask"][row].bool()
        return self.decode_tokens(batch["input_ids"][row][is_token].tolist())
