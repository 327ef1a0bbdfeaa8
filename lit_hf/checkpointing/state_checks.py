"""Whether the state of an optimizer in a checkpoint is one that the optimizer can resume from.

PyTorch takes any. One of other shapes makes kernels that step fused, which look at no size, write
beyond it; one without an entry raises a bare KeyError in the first step.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import Optimizer

from lit_hf.distributed.fsdp import is_sharded
from lit_hf.errors import CorruptError, as_input_error


def check_optimizer_states(trainer: Trainer, states: Sequence[Mapping[str, Any]]) -> None:
    """Refuse states that the optimizers of a training cannot resume from.

    Weights in shards are left out: each process has a part of their states.

    Args:
        trainer: of a training that begins; its optimizers are made.
        states: of the optimizers, as a checkpoint has them.

    Raises:
        InputError: naming the checkpoint, the weight and what is missing or of another shape.
    """
    if is_sharded(trainer):
        return
    path = str(trainer.ckpt_path)
    for optimizer, state in zip(trainer.optimizers, states, strict=False):
        with as_input_error(path):
            if type(optimizer).__module__.startswith("torch.optim"):
                copy.copy(optimizer).load_state_dict(dict(state))  # it compares the groups
            fault = _other_shape(optimizer, state) or fault_in_a_step(optimizer, state)
        if fault:
            raise CorruptError(f"{path}: corrupt, or of another kind of training: {fault}.")


def _weights(
    optimizer: Optimizer, saved: Mapping[str, Any]
) -> list[tuple[Tensor, dict[str, Any], Mapping[str, Any], object]]:
    """Each weight that has a state, with its saved group, that state and its key."""
    return [
        (weight, dict(group), saved["state"][key], key)
        for own, group in zip(optimizer.param_groups, saved["param_groups"], strict=True)
        for weight, key in zip(own["params"], group["params"], strict=True)
        if saved["state"].get(key)  # a weight that never had a gradient has none
    ]


def _other_shape(optimizer: Optimizer, saved: Mapping[str, Any]) -> str:
    """What in the state of a fused optimizer has not a number for each of a weight's; "" if none.

    Others see by themselves what does not fit, or have states of other shapes on purpose.
    """
    for weight, group, state, key in _weights(optimizer, saved):
        for name, value in state.items() if group.get("fused") else ():
            if value is None or name == "step":
                continue
            shape = list(value.shape) if isinstance(value, Tensor) else str(value)[:50]
            is_packed = isinstance(value, Tensor) and value.is_contiguous()
            if shape != list(weight.shape) or not is_packed:
                return f"{name!r} of weight {key!r} is {shape}, expected is {list(weight.shape)}"
    return ""


def fault_in_a_step(optimizer: Optimizer, saved: Mapping[str, Any]) -> str:
    """What an optimizer of PyTorch misses in its state when it steps; "" where nothing is.

    Which entries a class needs depends on its settings (`amsgrad`, `momentum`, `centered`), so a
    new object of the class makes one step, of the smallest weight of those with the same entries.

    Args:
        optimizer: as it was made.
        saved: its state in a checkpoint, of the right shapes.
    """
    if not type(optimizer).__module__.startswith("torch.optim"):
        return ""
    trials: dict[tuple[int, frozenset[str]], tuple[Tensor, dict[str, Any], Mapping[str, Any]]] = {}
    for weight, group, state, _ in sorted(
        _weights(optimizer, saved), key=lambda one: -one[0].numel()
    ):
        trials[len(group["params"]), frozenset(map(str, state))] = (weight, group, state)
    for weight, group, state in trials.values():
        if missing := _missing_in_a_step(type(optimizer), weight, group, state):
            return f"there is no {missing}, which {type(optimizer).__name__} needs"
    return ""


def _missing_in_a_step(
    kind: Callable[[list[Tensor]], Optimizer],
    weight: Tensor,
    group: dict[str, Any],
    state: Mapping[str, Any],
) -> str:
    """The entry that an optimizer does not find when it steps with this state."""
    trial = torch.zeros_like(weight, requires_grad=True)
    trial.grad = torch.zeros_like(weight)
    optimizer = kind([trial])
    group = {name: value for name, value in group.items() if name != "param_names"}
    saved = {"state": {0: state}, "param_groups": [{**group, "params": [0]}]}
    try:
        optimizer.load_state_dict(copy.deepcopy(saved))
        optimizer.step()
    except KeyError as error:
        return str(error)
    except Exception:  # such as that of a class that steps by a closure: no entry is missing
        return ""
    return ""
