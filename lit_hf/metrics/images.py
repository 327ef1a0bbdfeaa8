"""The scores of image classification, each image counted exactly once."""

from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from lit_hf.metrics.classification import ClassificationScores


class ImageScores(ClassificationScores):
    """Accuracy, top-5 accuracy (of more than five classes) and macro F1; sums over processes.

    And `loss` (mean over images) and `num_examples`.

    Args:
        num_labels: C, how many classes there are.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__("single_label", num_labels)
        scores: dict[str, nn.Module] = {
            "accuracy": MulticlassAccuracy(num_labels, average="micro", validate_args=False),
            "f1": MulticlassF1Score(num_labels, average="macro", validate_args=False),
        }
        if num_labels > 5:
            scores["accuracy_top5"] = MulticlassAccuracy(
                num_labels, average="micro", top_k=5, validate_args=False
            )
        self.scores = nn.ModuleDict(scores)

    def _arguments(self, name: str, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return (logits, labels) if name == "accuracy_top5" else (logits.argmax(1), labels)
