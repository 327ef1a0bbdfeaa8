import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_hf import InputError
from lit_hf.batches import LossTerms
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.losses import (
    LossFunction,
    apply_loss,
    class_terms,
    for_each_row,
    own_or_smoothed,
    plain_loss,
    reduce_terms,
    token_terms,
)

LOGITS = torch.tensor([[0.0, math.log(3.0)], [math.log(4.0), 0.0]])


def _losses(logits: Tensor, labels: Tensor, problem: ProblemType) -> Tensor:
    """Those of the task's own loss, each of a weight of 1."""
    terms = class_terms(plain_loss(problem), logits, labels, problem)
    assert terms.weights.tolist() == [1.0] * len(logits)
    assert terms.examples.tolist() == list(range(len(logits)))
    return terms.numerators


def test_losses__by_hand() -> None:
    losses = _losses(LOGITS, torch.tensor([1, 1]), "single_label")
    assert losses.tolist() == pytest.approx([math.log(4 / 3), math.log(5)])
    losses = _losses(LOGITS, torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "multi_label")
    assert losses.tolist() == pytest.approx(
        [(math.log(2) + math.log(4)) / 2, (math.log(5) + math.log(2)) / 2]
    )
    losses = _losses(torch.tensor([[1.5], [-1.0]]), torch.tensor([1.0, 2.0]), "regression")
    assert losses.tolist() == [0.25, 9.0]


def test_targets__that_are_rounded_are_refused() -> None:
    with pytest.raises(InputError, match="rounded"):
        _losses(torch.zeros(2, 1), torch.tensor([1, 0], dtype=torch.bfloat16), "regression")


def test_losses__are_as_precise_as_the_logits() -> None:
    logits = torch.randn(6, 3, requires_grad=True)
    losses = _losses(logits, torch.ones(6, 3).bfloat16(), "multi_label")
    torch.autograd.grad(losses.sum(), logits)
    assert losses.dtype == torch.float32
    assert _losses(logits, torch.ones(6, dtype=torch.float64), "regression").dtype == torch.float32


# A loss of the user.


def _mean(loss: LossFunction | None, logits: Tensor, targets: Tensor) -> float:
    """That of a batch, by a loss of the user."""
    found = for_each_row(loss)
    assert found is not None
    problem: ProblemType = (
        "multi_label" if isinstance(loss, nn.BCEWithLogitsLoss) else "single_label"
    )
    terms = class_terms(found, logits, targets, problem)
    return float(reduce_terms(terms, torch.ones(len(logits))).mean)


WEIGHT = torch.tensor([0.2, 1.0, 3.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.CrossEntropyLoss(),
        lambda: nn.CrossEntropyLoss(label_smoothing=0.2),
        lambda: nn.CrossEntropyLoss(WEIGHT),
        lambda: nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.2),
        lambda: nn.CrossEntropyLoss(ignore_index=1),
        lambda: nn.CrossEntropyLoss(WEIGHT, ignore_index=1),
        lambda: nn.CrossEntropyLoss(WEIGHT, ignore_index=-100, label_smoothing=0.1),
        lambda: nn.NLLLoss(WEIGHT, ignore_index=0),
    ],
)
def test_loss_of_torch__has_the_mean_that_it_has_by_itself(make: Callable[[], nn.Module]) -> None:
    """Over the weights of the targets' classes, not over the rows."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 3, generator=generator).log_softmax(1)  # NLLLoss takes these
    labels = torch.randint(0, 3, (20,), generator=generator)
    assert _mean(make(), logits, labels) == pytest.approx(float(make()(logits, labels)), rel=1e-6)
    labels[3] = -100
    with_gap = make()
    if getattr(with_gap, "ignore_index", None) == -100:
        wanted = float(make()(logits, labels))
        assert _mean(with_gap, logits, labels) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.CrossEntropyLoss(),
        lambda: nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.1),
        lambda: nn.BCEWithLogitsLoss(pos_weight=WEIGHT),
        lambda: nn.BCEWithLogitsLoss(WEIGHT),
    ],
)
def test_loss_of_torch__of_shares_and_of_flags_is_the_mean_over_rows(
    make: Callable[[], nn.Module],
) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 3, generator=generator)
    targets = torch.rand(20, 3, generator=generator)
    assert _mean(make(), logits, targets) == pytest.approx(float(make()(logits, targets)), rel=1e-6)


def test_loss_of_torch__weighs_its_rows() -> None:
    """An ignored row weighs nothing, so that it counts nothing in the windows of an optimizer."""
    loss = for_each_row(nn.CrossEntropyLoss(torch.tensor([1.0, 4.0]), ignore_index=-100))
    assert loss is not None
    logits = torch.zeros(3, 2)
    numerators, weights = apply_loss(loss, logits, torch.tensor([0, 1, -100]))
    assert weights.tolist() == [1.0, 4.0, 0.0]
    assert numerators.tolist() == pytest.approx([math.log(2), 4 * math.log(2), 0.0])


def test_reduction__of_a_loss_is_set_to_none() -> None:
    loss = nn.CrossEntropyLoss(reduction="sum")
    found: object = for_each_row(loss)
    assert found is loss
    assert loss.reduction == "none"
    assert for_each_row(None) is None


def test_weights_of_classes__are_in_no_checkpoint() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.CrossEntropyLoss(WEIGHT, reduction="none")
            self.scale = nn.Parameter(torch.ones(()))  # is learnt

    loss = Both()
    for_each_row(loss)
    assert list(loss.state_dict()) == ["scale"]
    weight = loss.inner.double().weight  # moved as ever
    assert weight is not None
    assert torch.equal(weight, WEIGHT.double())


def test_function__gives_numbers_or_numerators_and_weights_or_numbers_of_classes() -> None:
    logits, labels = torch.tensor([[1.0, 2.0], [3.0, 5.0]]), torch.tensor([0, 1])

    def picked(inputs: Tensor, targets: Tensor) -> Tensor:
        return inputs.gather(1, targets[:, None])[:, 0]

    def weighed(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return picked(inputs, targets) * 3, torch.tensor([3.0, 1.0])

    def of_classes(inputs: Tensor, targets: Tensor) -> Tensor:
        return inputs * F.one_hot(targets, 2)

    assert _mean(picked, logits, labels) == 3.0
    assert _mean(weighed, logits, labels) == 18 / 4
    assert _mean(of_classes, logits, labels) == (0.5 + 2.5) / 2


def test_loss__of_numbers_gets_numbers() -> None:
    loss = for_each_row(nn.L1Loss())
    assert loss is not None
    logits, targets = torch.tensor([[1.0], [4.0]]), torch.tensor([3.0, 3.5])
    terms = class_terms(loss, logits, targets, "regression")
    assert terms.numerators.tolist() == [2.0, 0.5]


@pytest.mark.parametrize(
    ("loss", "got"),
    [
        (lambda logits, _: logits.mean(), r"<lambda> gives shape \[\]"),
        (lambda logits, _: 1.5, "gives 1.5"),
        (lambda logits, _: logits[:1, 0], r"gives shape \[1\]"),
        (lambda logits, _: (logits[:, 0], logits.new_ones(())), r"gives shape \[\]"),
        (lambda logits, _: logits[:, :, None], r"gives shape \[4, 2, 1\]"),
        (lambda logits, labels: logits[:, :1] - labels, r"gives shape \[4, 4\]"),
    ],
)
def test_result__that_is_no_number_for_each_row_is_refused(loss: LossFunction, got: str) -> None:
    with pytest.raises(InputError, match=rf"{got}, but a number for each of the 4 rows"):
        class_terms(loss, torch.zeros(4, 2), torch.zeros(4).long(), "single_label")


def test_loss__of_entries_is_refused_for_numbers_of_classes() -> None:
    """Of 4 rows of 4 classes torch would compare each number with the label of another row."""
    for made in (nn.MSELoss(), nn.KLDivLoss(), nn.BCEWithLogitsLoss()):
        loss = for_each_row(made)
        assert loss is not None
        with pytest.raises(InputError, match=r"inputs are \[4, 4\], its targets \[4\]: take"):
            class_terms(loss, torch.zeros(4, 4), torch.zeros(4).long(), "single_label")


def test_loss__without_a_gradient_is_refused() -> None:
    logits = torch.zeros(4, 2, requires_grad=True)
    with pytest.raises(InputError, match="<lambda> has no gradient"):
        apply_loss(lambda logits, y: logits.argmax(1) != y, logits, torch.zeros(4).long())


@pytest.mark.parametrize("bad", [-0.5, math.nan, math.inf])
def test_weight__that_is_negative_or_no_number_spoils_the_loss(bad: float) -> None:
    weights = torch.tensor([bad, 1.0, 2.0])
    numerators, _ = apply_loss(lambda x, _: (x[:, 0], weights), torch.ones(3, 2), torch.zeros(3))
    assert numerators.isnan().tolist() == [True, False, False]
    logits = torch.zeros(2, 3, 2)
    labels = torch.tensor([[0, 1, -100], [1, -100, -100]])  # sums are positive all the same
    numerators, _ = token_terms(lambda x, _: (x[:, 0], weights), logits, labels)
    assert numerators.isnan().tolist() == [True, False]


def test_loss__of_classes_on_numbers_is_told_with_their_shapes() -> None:
    loss = for_each_row(nn.CrossEntropyLoss())
    assert loss is not None
    with pytest.raises(InputError, match=r"Its inputs were \[4\], its targets \[4\];"):
        class_terms(loss, torch.zeros(4, 1), torch.zeros(4), "regression")


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, 0.5, "focal"])
def test_loss__that_is_a_class_or_cannot_be_called_is_refused(loss: Any) -> None:  # noqa: ANN401 - anything
    with pytest.raises(InputError, match="`loss` takes the object of a loss or a function"):
        for_each_row(loss)


def test_smoothing__is_of_the_own_loss_alone() -> None:
    own = own_or_smoothed(None, 0.3)
    assert isinstance(own, nn.CrossEntropyLoss)
    assert own.label_smoothing == 0.3
    given = nn.CrossEntropyLoss()
    assert own_or_smoothed(given, 0.0) is given
    with pytest.raises(InputError, match=r"`loss\.label_smoothing`"):
        own_or_smoothed(given, 0.3)
    for wrong in (-0.1, 1.0, math.nan):
        with pytest.raises(InputError, match="at least 0 and below 1"):
            own_or_smoothed(None, wrong)


def test_tokens__are_summed_for_each_sequence() -> None:
    logits = torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1, 2, 3, 4], [5, -100, -100, -100], [-100] * 4])
    weight = torch.arange(1.0, 8.0)
    loss = for_each_row(nn.CrossEntropyLoss(weight))
    assert loss is not None
    numerators, weights = token_terms(loss, logits.bfloat16(), labels)
    wanted = F.cross_entropy(
        logits.bfloat16().float().flatten(0, 1), labels.flatten(), weight, reduction="none"
    )
    assert torch.allclose(numerators, wanted.view(3, 4).sum(1))
    assert weights.tolist() == [2 + 3 + 4 + 5, 6, 0]


# The mean.


def _terms(numerators: list[float], weights: list[float], examples: list[int]) -> LossTerms:
    return LossTerms(
        torch.tensor(numerators, requires_grad=True),
        torch.tensor(weights),
        torch.tensor(examples),
    )


def test_mean__is_over_all_weights_and_of_each_example_over_its_own() -> None:
    """Of tokens: questions 0 and 2 have some, in two windows and in one."""
    terms = _terms([6.0, 1.0, 2.0], [3, 1, 2], [0, 0, 2])
    found = reduce_terms(terms, torch.ones(3))
    assert float(found.mean.detach()) == 1.5
    assert found.losses.tolist() == [7 / 4, 0, 1]
    assert float(found.weight) == 6
    assert found.mean.requires_grad
    assert not found.losses.requires_grad
    assert not found.weight.requires_grad


def test_mean__counts_no_copy_and_weighs_rows() -> None:
    terms = _terms([1.0, 2.0, 4.0, 8.0], [1, 1, 1, 1], [0, 1, 2, 3])
    found = reduce_terms(terms, torch.tensor([1.0, 0.0, 0.5, 2.0]))
    assert float(found.mean.detach()) == pytest.approx((1 + 2 + 16) / 3.5)
    assert float(found.weight) == 3.5
    assert found.losses.tolist() == [1, 2, 4, 8]  # of each by itself
    (gradient,) = torch.autograd.grad(found.mean, terms.numerators)
    assert gradient.tolist() == pytest.approx([1 / 3.5, 0, 0.5 / 3.5, 2 / 3.5])


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_mean__is_not_spoilt_by_what_does_not_count(bad: float) -> None:
    terms = _terms([1.0, bad, 3.0], [1, 1, 1], [0, 1, 2])
    found = reduce_terms(terms, torch.tensor([1.0, 0.0, 1.0]))
    assert float(found.mean.detach()) == 2.0
    (gradient,) = torch.autograd.grad(found.mean, terms.numerators)
    assert gradient.tolist() == [0.5, 0.0, 0.5]
    assert not reduce_terms(terms, torch.ones(3)).mean.isfinite()


def test_mean__of_weights_whose_sum_is_infinite_is_no_number() -> None:
    found = reduce_terms(_terms([0.25, 0.25], [1, 1], [0, 1]), torch.tensor([3e38, 3e38]))
    assert found.mean.isnan()


def test_mean__of_nothing_that_counts_is_0_and_can_be_learnt_from() -> None:
    for weights, counts in (([1.0, 1.0], torch.zeros(2)), ([0.0, 0.0], torch.ones(2))):
        terms = _terms([0.0 if weights[0] == 0 else 5.0, 0.0], weights, [0, 1])
        found = reduce_terms(terms, counts)
        assert (float(found.mean.detach()), float(found.weight)) == (0.0, 0.0)
        (gradient,) = torch.autograd.grad(found.mean, terms.numerators)
        assert gradient.isfinite().all()
    assert found.losses.tolist() == [0.0, 0.0]


def test_loss__of_log_probabilities_is_refused_for_logits() -> None:
    """It would fall without end."""
    targets, loss = torch.tensor([0, 1]), nn.NLLLoss(reduction="none")
    with pytest.raises(InputError, match="CrossEntropyLoss"):
        apply_loss(loss, LOGITS, targets)
    for dtype in (torch.float32, torch.bfloat16):
        found, _ = apply_loss(loss, LOGITS.log_softmax(1).to(dtype), targets)
        wanted = F.cross_entropy(LOGITS, targets, reduction="none")
        assert torch.allclose(found.float(), wanted, atol=0.02)
