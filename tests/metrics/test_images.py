import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score

from lit_hf.metrics.images import ImageScores


def test_scores__are_those_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(60, 8, generator=generator)
    labels = torch.randint(0, 8, (60,), generator=generator)
    copies = torch.arange(60) % 7 == 6
    scores = ImageScores(8)
    for part in range(0, 60, 25):
        rows = slice(part, part + 25)
        scores.update(logits[rows], labels[rows], torch.ones(60)[rows], copies[rows])
    kept, wanted = logits[~copies], labels[~copies]
    values = {name: float(value) for name, value in scores.compute().items()}
    assert values == pytest.approx(
        {
            "accuracy": accuracy_score(wanted, kept.argmax(1)),
            "f1": f1_score(wanted, kept.argmax(1), average="macro"),
            "accuracy_top5": top_k_accuracy_score(wanted, kept, k=5, labels=range(8)),
            "loss": 1.0,
            "num_examples": float(len(wanted)),
        },
        abs=1e-6,
    )
    assert list(values) == scores.names


def test_top5__needs_more_than_five_classes() -> None:
    assert "accuracy_top5" not in ImageScores(5).names
