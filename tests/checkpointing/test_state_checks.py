"""States in a checkpoint that a training cannot take: one error, before anything is trained."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
from lit_hf.checkpointing.state_checks import fault_in_a_step
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]
Content = dict[str, Any]
BIAS = "model.classifier.bias"


def _fit(model: str, rows: Rows, steps: int, path: Path | None, **optimizer: object) -> pl.Trainer:
    settings: dict[str, Any] = {"lr": 1e-3, "fused": True, **optimizer}
    module = TextClassifier(
        model, label_names=["no", "yes"], optimizer=partial(torch.optim.AdamW, **settings)
    )
    data = TextClassificationDataModule(model, batch_size=4, val_fraction=0)
    trainer = quiet_trainer(max_steps=steps, enable_checkpointing=False)
    trainer.fit(module, data.with_rows(train=rows), ckpt_path=path, weights_only=True)
    return trainer


@pytest.fixture(scope="module")
def checkpoint(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Content:
    """What a training of two steps leaves."""
    path = tmp_path_factory.mktemp("states") / "last.ckpt"
    rows: Rows = [{"text": f"fire number {n}", "label": n % 2} for n in range(8)]
    _fit(tiny_model, rows, 2, None).save_checkpoint(path)
    found: Content = torch.load(path, weights_only=True)
    return found


def _weight(content: Content) -> Content:
    found: Content = content["optimizer_states"][0]["state"][BIAS]
    return found


def _group(content: Content) -> Content:
    found: Content = content["optimizer_states"][0]["param_groups"][0]
    return found


_CHANGES: dict[str, tuple[Callable[[Content], object], str]] = {
    "too few averages": (lambda c: _weight(c).update(exp_avg=torch.zeros(1)), "exp_avg"),
    "averages in one place": (
        lambda c: _weight(c).update(exp_avg=torch.zeros(1).expand(2)),
        "exp_avg",
    ),
    "no averages": (lambda c: _weight(c).pop("exp_avg"), "exp_avg"),
    "no step": (lambda c: _weight(c).pop("step"), "step"),
    "no decay": (lambda c: _group(c).pop("weight_decay"), "weight_decay"),
    "weights of another number": (lambda c: _group(c).update(params={1: 2}), "param"),
    "groups of another number": (lambda c: c["optimizer_states"][0]["param_groups"].pop(), "group"),
    "a switch of another kind": (lambda c: _group(c).update(amsgrad=True), "max_exp_avg_sq"),
}


@pytest.mark.parametrize("name", _CHANGES)
def test_state__of_another_kind_is_one_error(
    name: str, checkpoint: Content, tiny_model: str, tweet_rows: Rows, tmp_path: Path
) -> None:
    change, wanted = _CHANGES[name]
    path = tmp_path / "strange.ckpt"
    torch.save(checkpoint, path)
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    with pytest.raises(InputError, match=rf"strange\.ckpt: [^\n]*{wanted}"):
        _fit(tiny_model, tweet_rows[:8], 4, path)


def test_state__of_other_settings_is_right(
    checkpoint: Content, tiny_model: str, tweet_rows: Rows, tmp_path: Path
) -> None:
    path = tmp_path / "last.ckpt"
    torch.save(checkpoint, path)
    for settings in ({"lr": 1}, {"weight_decay": 0}, {"fused": None}, {"betas": [0.5, 0.6]}):
        assert _fit(tiny_model, tweet_rows[:8], 3, path, **settings).global_step == 3


_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "AdamW": {"amsgrad": True},
    "SGD": {"momentum": 0.9},
    "RMSprop": {"centered": True, "momentum": 0.1},
    "NAdam": {},
    "Adagrad": {},
    "ASGD": {},
    "Rprop": {},
    "Adadelta": {},
    "Adafactor": {},
    "LBFGS": {},
}


@pytest.mark.parametrize("name", _OPTIMIZERS)
def test_state__of_any_optimizer_is_what_it_needs(name: str) -> None:
    weights = [torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(3))]
    weights.append(torch.nn.Parameter(torch.ones(1)))  # never used, so it has no state
    kind = getattr(torch.optim, name)
    optimizer = kind(weights, lr=0.1, **_OPTIMIZERS[name])

    def closure() -> float:
        for weight in weights[:2]:
            weight.grad = torch.ones_like(weight)
        return 1.0

    optimizer.step(closure)
    state = optimizer.state_dict()
    before = str(state)
    assert not fault_in_a_step(kind(weights, lr=0.1, **_OPTIMIZERS[name]), state)
    assert str(state) == before
    if name != "LBFGS":
        first = state["state"][0]
        del first[max(first)]
        assert "needs" in fault_in_a_step(optimizer, state) or name in ("SGD", "Adagrad")
