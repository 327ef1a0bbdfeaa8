"""The scores of image classification, each image counted exactly once."""

from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from lit_hf.metrics.class_counts import ClassCounts
from lit_hf.metrics.classification import ClassificationScores


class ImageScores(ClassificationScores):
    """Accuracy, F1 and top-5 accuracy (of more than five classes); sums over processes.

    F1 is that of the positive class where there are two, else the mean over the classes (macro).
    And `loss` (mean over images) and `num_examples`.

    Args:
        num_labels: C, how many classes there are.
        positive: number of the positive class, of two.
    """

    def __init__(self, num_labels: int, positive: int = 1) -> None:
        super().__init__("single_label", num_labels, positive)
        scores: dict[str, nn.Module] = {"classes": ClassCounts(num_labels, positive=positive)}
        if num_labels > 5:
            scores["accuracy_top5"] = MulticlassAccuracy(
                num_labels, average="micro", top_k=5, validate_args=False
            )
        self.scores = nn.ModuleDict(scores)

    def _arguments(self, name: str, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return (logits, labels) if name == "accuracy_top5" else (logits.argmax(1), labels)
