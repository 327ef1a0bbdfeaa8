import pytest
import torch
from torch import Tensor

from lit_hf import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.target_checks import check_labels, row_weights


@pytest.mark.parametrize(
    ("problem", "labels", "expected"),
    [
        ("single_label", torch.zeros(6), r"int64.*\[6\]"),
        ("single_label", torch.zeros(6, 1).long(), r"int64.*\[6\]"),
        ("multi_label", torch.zeros(6, 3).long(), r"float.*\[6, 3\]"),
        ("multi_label", torch.zeros(6), r"float.*\[6, 3\]"),
        ("regression", torch.zeros(6, 1), r"float.*\[6\]"),
        ("regression", torch.full((6,), 0.1).bfloat16(), "rounded"),
    ],
)
def test_labels__of_a_wrong_kind_are_refused(
    problem: ProblemType, labels: Tensor, expected: str
) -> None:
    logits = torch.zeros(6, 1 if problem == "regression" else 3)
    with pytest.raises(InputError, match=expected):
        check_labels(logits, labels, problem)


def test_weights__of_rows_are_a_number_each_and_not_rounded() -> None:
    assert row_weights(torch.tensor([0.5, -3.0]), 2).isnan().tolist() == [False, True]
    row_weights(torch.tensor([0.0, 1.0], dtype=torch.bfloat16), 2)
    for wrong in (torch.ones(2, 1), [1.0, 2.0], torch.tensor([0.1, 3.0], dtype=torch.bfloat16)):
        with pytest.raises(InputError, match="weight"):
            row_weights(wrong, 2)
