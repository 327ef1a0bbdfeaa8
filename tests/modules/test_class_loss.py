import math

import pytest
import torch
from torch import Tensor

from lit_hf import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.class_loss import check_rounding, class_losses


def test_losses__by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [math.log(4.0), 0.0]])
    losses = class_losses(logits, torch.tensor([1, 1]), "single_label")
    assert losses.tolist() == pytest.approx([math.log(4 / 3), math.log(5)])
    flags = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    losses = class_losses(logits, flags, "multi_label")
    assert losses.tolist() == pytest.approx(
        [(math.log(2) + math.log(4)) / 2, (math.log(5) + math.log(2)) / 2]
    )
    losses = class_losses(torch.tensor([[1.5], [-1.0]]), torch.tensor([1.0, 2.0]), "regression")
    assert losses.tolist() == [0.25, 9.0]


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
        class_losses(logits, labels, problem)


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


@pytest.mark.parametrize("problem", ["multi_label", "regression"])
def test_losses__are_as_precise_as_the_logits(problem: ProblemType) -> None:
    logits = torch.randn(6, 3, requires_grad=True)
    labels = (torch.ones(6, 3) if problem == "multi_label" else torch.ones(6)).bfloat16()
    losses = class_losses(logits, labels, problem)
    torch.autograd.grad(losses.sum(), logits)
    assert losses.dtype == torch.float32
