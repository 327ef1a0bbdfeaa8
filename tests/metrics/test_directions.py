"""Each score of each task is called better where it is better."""

import pytest

from lit_hf.metrics.directions import mode_of


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("train/loss", "min"),
        ("train/loss_epoch", "min"),
        ("test/f1/disaster", "max"),
        ("val/accuracy_top5", "max"),
        ("val/mcc", None),
        ("val/f1_gap", None),
        ("val_loss", None),
        ("val/loss_of_words", None),
        ("val/num_examples", None),
        ("val/HasAns_total", None),
    ],
)
def test_names(name: str, mode: str | None) -> None:
    assert mode_of(name) == mode
