import math
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_hf import InputError
from lit_hf.batches import LossTerms, SpanBatch, SpanOutput
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.losses import (
    LossFunction,
    _cross_entropy,
    apply_loss,
    class_terms,
    for_each_row,
    plain_loss,
    reduce_terms,
    span_terms,
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
    with pytest.raises(InputError, match=rf"{got}, but a number for each of 4 rows"):
        class_terms(loss, torch.zeros(4, 2), torch.zeros(4).long(), "single_label")


@pytest.mark.parametrize("bad", [-0.5, math.nan, math.inf])
def test_weight__that_is_negative_or_no_number_spoils_the_loss(bad: float) -> None:
    weights = torch.tensor([bad, 1.0, 2.0])
    numerators, _ = apply_loss(lambda x, _: (x[:, 0], weights), torch.ones(3, 2), torch.zeros(3))
    assert numerators.isnan().tolist() == [True, False, False]
    logits = torch.zeros(2, 3, 2)
    labels = torch.tensor([[0, 1, -100], [1, -100, -100]])  # sums are positive all the same
    numerators, _ = token_terms(lambda x, _: (x[:, 0], weights), logits, labels)
    assert numerators.isnan().tolist() == [True, False]


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, 0.5, "focal"])
def test_loss__that_is_a_class_or_cannot_be_called_is_refused(loss: Any) -> None:  # noqa: ANN401 - anything
    with pytest.raises(InputError, match="`loss` to be an object or a function"):
        for_each_row(loss)


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


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_mean__is_not_spoilt_by_what_does_not_count(bad: float) -> None:
    terms = _terms([1.0, bad, 3.0], [1, 1, 1], [0, 1, 2])
    found = reduce_terms(terms, torch.tensor([1.0, 0.0, 1.0]))
    assert float(found.mean.detach()) == 2.0
    (gradient,) = torch.autograd.grad(found.mean, terms.numerators)
    assert gradient.tolist() == [0.5, 0.0, 0.5]
    assert not reduce_terms(terms, torch.ones(3)).mean.isfinite()


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


def _batch(first: list[int], answers: list[list[str]], window_of: list[int]) -> SpanBatch:
    """Windows whose "no answer" is token 0, six tokens long, the second one padded by two."""
    mask = torch.ones(len(first), 6, dtype=torch.int64)
    mask[1, 4:] = 0
    known = {
        "answers": answers,
        "window_of": torch.tensor(window_of),
        "first_token": torch.tensor(first),
        "last_token": torch.tensor(first),
        "no_answer_token": torch.zeros(len(first), dtype=torch.int64),
        "attention_mask": mask,
    }
    return cast("SpanBatch", known)


def test_cross_entropy__is_that_of_torch_and_sees_no_padding() -> None:
    logits = torch.randn(3, 9, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 4, 8])
    padded = F.pad(logits, (0, 3), value=-torch.inf)
    for smoothing in (0.0, 0.2):
        wanted = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        assert torch.allclose(_cross_entropy(padded, targets, smoothing), wanted)


def _output() -> SpanOutput:
    starts, ends = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(1))
    return {"windows": torch.arange(3), "start_logits": starts, "end_logits": ends}


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_loss_of_the_user__is_applied_to_start_and_end(smoothing: float) -> None:
    """Smoothing spreads over the tokens of a window, as torch's would without padding."""
    batch, output = _batch([3, 0, 0], [["a"], []], [0, 0, 1]), _output()
    loss = nn.CrossEntropyLoss(reduction="none", label_smoothing=smoothing)
    found = span_terms(loss, batch, output, 1.0).numerators
    for row, size in enumerate((6, 4, 6)):
        ends = (output["start_logits"][row, :size], output["end_logits"][row, :size])
        wanted = sum(loss(logits, batch["first_token"][row]) for logits in ends) / 2
        assert float(found[row]) == pytest.approx(float(wanted), rel=1e-5)

    def squared(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, targets, reduction="none") ** 2

    found = span_terms(squared, batch, output, 0.25).numerators
    ends = (output["start_logits"][1, :4], output["end_logits"][1, :4])
    wanted = sum(F.cross_entropy(logits, torch.tensor(0)) ** 2 for logits in ends) / 2
    assert float(found[1]) == pytest.approx(float(wanted) * 0.25, rel=1e-5)


def test_target__behind_the_last_token_counts_nothing() -> None:
    """As in transformers, whose batches say so that an answer is cut off."""
    logits = torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
    batch = cast(
        "SpanBatch",
        {
            "window_of": torch.tensor([0, 1]),
            "first_token": torch.tensor([3, 6]),
            "last_token": torch.tensor([4, 6]),
            "no_answer_token": torch.zeros(2, dtype=torch.int64),
            "attention_mask": torch.ones(2, 6, dtype=torch.int64),
        },
    )
    output: Any = {"windows": torch.arange(2), "start_logits": logits, "end_logits": logits}
    for loss in (None, nn.CrossEntropyLoss(reduction="none")):
        terms = span_terms(loss, batch, output, 1.0)
        assert terms.weights.tolist() == [1.0, 0.0]
        wanted = F.cross_entropy(logits[:1], torch.tensor([3]))
        wanted = wanted + F.cross_entropy(logits[:1], torch.tensor([4]))
        assert terms.numerators.tolist() == pytest.approx([float(wanted) / 2, 0.0])
