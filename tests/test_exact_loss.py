"""Loss and gradient of a step are those of a loop that anybody can write down.

The loop runs the plain model on one row, window or token at a time, in float64, and knows nothing
of the losses of this package: a step is the sum of all numerators over the sum of all weights.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_hf import HFModule
from lit_hf.errors import SharedFaultError
from tests.exact_steps import (
    CASES,
    NOTHING,
    SMOOTHING,
    Found,
    flat,
    gradients,
    loss_of,
    tasks_in,
    train,
)
from tests.processes import run_script
from tests.tasks import TASKS

Batch = Mapping[str, Any]
Terms = Iterator[tuple[Tensor, Tensor]]  # numerator and weight of each part of a row
_ONE = torch.ones((), dtype=torch.float64)
ALL_TASKS = (*TASKS, "tokens")
EACH = [(task, case) for task in ALL_TASKS for case in CASES]


@pytest.fixture(scope="module")
def folder(
    tiny_model: str, tiny_vit: str, tiny_bart: str, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A folder with the models."""
    home = tmp_path_factory.mktemp("exact_loss")
    for name, model in {"bert": tiny_model, "bart": tiny_bart, "vit": tiny_vit}.items():
        (home / name).symlink_to(model)
    return str(home)


@pytest.fixture(scope="module")
def alone(folder: str) -> dict[str, tuple[HFModule, Found]]:
    """What one process has found, with its modules."""
    return {
        f"{task.name} {name}": train(task, case, 1, folder)
        for task in tasks_in(folder)
        for name, case in CASES.items()
    }


@pytest.fixture(scope="module")
def both(folder: str) -> list[dict[str, Any]]:
    """What each of two processes has found."""
    run_script(Path(__file__).with_name("exact_steps.py"), folder)
    return [torch.load(Path(folder, f"found-{n}.pt"), weights_only=False) for n in (0, 1)]


def _cross_entropy(logits: Tensor, label: int, classes: Tensor | None, smoothing: float) -> Tensor:
    """Of one target, as torch documents it: each class weighs its part."""
    losses = -logits.log_softmax(0)
    weighed = losses if classes is None else losses * classes
    return (1 - smoothing) * weighed[label] + smoothing * weighed.mean()


def _parts(task: str, module: HFModule, batch: Batch, row: int) -> Iterator[tuple[Tensor, Any]]:
    """Logits [T] and label of all that a row teaches."""
    model: Any = module.model
    if task == "image":
        yield model(batch["pixel_values"][[row]].double()).logits[0], int(batch["labels"][row])
        return
    windows = (
        [row]
        if task in ("text", "tokens")
        else (batch["window_of"] == row).nonzero().flatten().tolist()
    )
    for window in windows:
        length = int(batch["attention_mask"][window].sum())
        names = ("input_ids", "token_type_ids") if task != "generative" else ("input_ids",)
        inputs = {name: batch[name][[window], :length] for name in names}
        if task == "text":
            yield model(**inputs).logits[0], int(batch["labels"][row])
        elif task == "extractive":
            output = model(**inputs)
            spans = (output.start_logits[0], output.end_logits[0])
            yield torch.stack(spans), (batch["first_token"][window], batch["last_token"][window])
        elif task == "tokens":  # the first token of each word has its tag
            logits, place = model(**inputs).logits[0], 1
            for word, tag in zip(batch["words"][row], batch["tags"][row], strict=True):
                yield logits[place], model.config.label2id[tag]
                place += len(module.tokenizer.tokenize(word))
        else:
            labels = batch["labels"][window]
            labels = labels[labels >= 0]
            if len(labels):
                logits = model(**inputs, labels=labels[None]).logits[0]
                yield from zip(logits, labels.tolist(), strict=True)


def _terms(task: str, module: HFModule, batch: Batch, row: int, has_loss: bool) -> Terms:
    smoothing, classes = 0.0, None
    if has_loss:
        smoothing, weight = SMOOTHING, loss_of(task, module).weight
        classes = None if weight is None else weight.double()
    for logits, label in _parts(task, module, batch, row):
        if task == "extractive":  # the mean of both ends of an answer
            starts, ends = logits
            first = _cross_entropy(starts, int(label[0]), None, smoothing)
            yield (first + _cross_entropy(ends, int(label[1]), None, smoothing)) / 2, _ONE
        else:
            own = _ONE if classes is None else classes[label]
            yield _cross_entropy(logits, label, classes, smoothing), own


def _by_hand(
    task: str, module: HFModule, batches: list[Batch], has_loss: bool, weights: tuple[float, ...]
) -> tuple[float, Tensor]:
    """Loss and gradient of a step over all batches of all processes."""
    module.model.zero_grad()
    loss, total = 0 * _ONE, 0 * _ONE
    for batch in batches:
        for row, name in enumerate(batch["id"]):
            if not batch["is_padding"][row]:
                for numerator, weight in _terms(task, module, batch, row, has_loss):
                    loss = loss + weights[int(name)] * numerator
                    total = total + weights[int(name)] * weight
    loss = loss / total
    torch.autograd.backward(loss)
    return float(loss.detach()), gradients(module.model)


def _assert_exact(task: str, name: str, module: HFModule, processes: list[Found]) -> None:
    case = CASES[name]
    num_steps = -(-len(case.weights) // (2 * case.accumulate))
    for found in processes:
        assert torch.equal(found.begin, flat(module.model))
        assert len(found.gradients) == num_steps
    for step in range(num_steps):
        batches = [batch for found in processes for batch in found.batches[step]]
        wanted, gradient = _by_hand(task, module, batches, case.has_loss, case.weights)
        seen = [pair for found in processes for pair in found.losses[step]]
        loss = sum(mean * weight for mean, weight in seen) / sum(weight for _, weight in seen)
        assert loss == pytest.approx(wanted, rel=1e-10, abs=0)
        for found in processes:
            assert float((found.gradients[step] - gradient).norm() / gradient.norm()) < 1e-10


@pytest.mark.parametrize(("task", "case"), EACH)
def test_step__of_one_process_is_that_of_the_loop(
    task: str, case: str, alone: dict[str, tuple[HFModule, Found]]
) -> None:
    module, found = alone[f"{task} {case}"]
    _assert_exact(task, case, module, [found])


@pytest.mark.parametrize(("task", "case"), EACH)
def test_step__of_two_processes_is_that_of_the_loop(
    task: str, case: str, alone: dict[str, tuple[HFModule, Found]], both: list[dict[str, Any]]
) -> None:
    module, _ = alone[f"{task} {case}"]
    found = [Found(**process[f"{task} {case}"]) for process in both]
    _assert_exact(task, case, module, found)
    if case == "plain":  # a batch of one process holds a copy alone
        batches = [batch for process in found for step in process.batches for batch in step]
        assert any(batch["is_padding"].all() for batch in batches)
    if case == "half":
        assert sorted(weight > 0 for process in found for _, weight in process.losses[0]) == [
            False,
            True,
        ]


@pytest.mark.parametrize("task", ALL_TASKS)
def test_step__whose_rows_all_weigh_nothing_ends_all_processes_alike(
    task: str, folder: str, both: list[dict[str, Any]]
) -> None:
    (one,) = {process[f"{task} nothing"] for process in both}
    assert "weight 0" in one
    with pytest.raises(SharedFaultError, match=r"before optimizer step \d have the weight 0"):
        train(next(t for t in tasks_in(folder) if t.name == task), NOTHING, 1, folder)
