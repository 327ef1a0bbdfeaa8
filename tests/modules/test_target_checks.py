import pytest
import torch
from torch import Tensor

from lit_hf import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.target_checks import check_labels, check_rounding, check_weights


@pytest.mark.parametrize(
    ("problem", "labels", "wanted", "got"),
    [
        ("single_label", torch.zeros(6), r"int64.*\[6\]", r"float32.*\[6\]"),
        ("single_label", torch.zeros(6, 3), r"int64.*\[6\]", r"float32.*\[6, 3\]"),
        ("single_label", torch.zeros(6, 1).long(), r"int64.*\[6\]", r"int64.*\[6, 1\]"),
        ("multi_label", torch.zeros(6, 3).long(), r"float.*\[6, 3\]", r"int64.*\[6, 3\]"),
        ("multi_label", torch.zeros(6), r"float.*\[6, 3\]", r"float32.*\[6\]"),
        ("multi_label", torch.zeros(6, 2), r"float.*\[6, 3\]", r"float32.*\[6, 2\]"),
        ("regression", torch.zeros(6).long(), r"float.*\[6\]", r"int64.*\[6\]"),
        ("regression", torch.zeros(6, 1), r"float.*\[6\]", r"float32.*\[6, 1\]"),
    ],
)
def test_labels__of_a_wrong_kind_are_refused_naming_wanted_and_got(
    problem: ProblemType, labels: Tensor, wanted: str, got: str
) -> None:
    logits = torch.zeros(6, 1 if problem == "regression" else 3)
    with pytest.raises(InputError, match=rf"{problem}` wants {wanted}, but got torch\.{got}"):
        check_labels(logits, labels, problem)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding__of_targets_is_refused_where_it_loses_digits(dtype: torch.dtype) -> None:
    flags, shares = torch.tensor([[1, 0], [0, 1]]), torch.tensor([[0.3, 0.7]])
    problems: list[ProblemType] = ["single_label", "multi_label"]
    for problem in problems:
        check_rounding(flags, problem)
        check_rounding(shares, problem)
        check_rounding(flags.to(dtype), problem)
        with pytest.raises(InputError, match="rounded"):
            check_rounding(shares.to(dtype), problem)
    check_rounding(shares, "regression")
    with pytest.raises(InputError, match="rounded"):
        check_rounding(flags[0].to(dtype), "regression")


def test_weights__of_rows_are_a_number_each_and_not_rounded() -> None:
    check_weights(torch.tensor([0.1, 3.0]), 2)
    check_weights(torch.tensor([0.0, 1.0], dtype=torch.bfloat16), 2)
    with pytest.raises(InputError, match=r"shape \[2, 1\], but a number for each of its 2"):
        check_weights(torch.ones(2, 1), 2)
    with pytest.raises(InputError, match="is a list, but a tensor"):
        check_weights([1.0, 2.0], 2)
    with pytest.raises(InputError, match="weights of the batch are bfloat16, rounded"):
        check_weights(torch.tensor([0.1, 3.0], dtype=torch.bfloat16), 2)
