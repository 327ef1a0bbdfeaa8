"""ResumedStates: what a training resumes with is of the kind that such a training has."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import lightning
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lit_hf import __version__
from lit_hf.checkpointing.content import unlike
from lit_hf.distributed.fsdp import is_sharded
from lit_hf.errors import DamagedError, told_as_input

_LOOPS = {"fit": "fit_loop", "validate": "validate_loop", "test": "test_loop"}
_OF_FIT = ("optimizer_states", "lr_schedulers", "loops", "callbacks")


class ResumedStates:
    """Compares the states in a checkpoint with those that a training has when it begins.

    Lightning and PyTorch take them as they are. One of another kind would raise where it is first
    used; and kernels that step fused, which look at no size, would write beyond it.
    """

    def __init__(self) -> None:
        self._held: Mapping[str, Any] = {}

    def load(self, trainer: Trainer | None, checkpoint: Mapping[str, Any]) -> None:
        """Compare what is there already; keep the rest until it is.

        Raises:
            DamagedError: naming a state of another kind.
        """
        if trainer is not None and trainer.state.fn is not None:
            self._load(trainer, trainer.state.fn.value, checkpoint)

    def _load(self, trainer: Trainer, verb: str, checkpoint: Mapping[str, Any]) -> None:
        loop = _LOOPS.get(verb, "predict_loop")
        loops, is_of_now = {loop: getattr(trainer, loop).state_dict()}, _is_of_now(checkpoint)
        held = checkpoint.get("loops", loops)
        _tell(trainer, unlike(loops, held, "loops", (int,)))
        _tell(trainer, lacking(loops if is_of_now else {}, held, "loops"))
        if loop != "fit_loop":
            return
        if trainer.strategy.lightning_restore_optimizer:  # else the strategy has files of its own
            missing = [name for name in _OF_FIT if name not in checkpoint]
            _tell(trainer, f"nothing to go on from, there is no {missing[0]!r}" if missing else "")
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # of a connector
        for callback in callbacks:
            if type(callback).__module__.startswith(("lit_hf.", "lightning.")):
                own, name = callback.state_dict(), f"callbacks[{type(callback).__name__}]"
                state = checkpoint.get("callbacks", {}).get(callback.state_key) or {}
                _tell(trainer, unlike(own, state, name))
                needed = dict.fromkeys(own) if state and is_of_now else {}
                _tell(trainer, lacking(needed, state, name))
        self._held = {name: checkpoint.get(name) for name in ("optimizer_states", "lr_schedulers")}
        precision = trainer.precision_plugin
        state = checkpoint.get(type(precision).__qualname__) or {}
        _tell(trainer, unlike(precision.state_dict(), state, "precision"))
        if trainer.optimizers:  # a strategy that loads a checkpoint later than others
            self.check(trainer)

    def check(self, trainer: Trainer) -> None:
        """Compare the states of optimizers and schedules, which a training makes when it begins.

        Raises:
            DamagedError: naming a state of another kind.
        """
        held, self._held = self._held, {}
        with told_as_input(str(trainer.ckpt_path)):
            self._check(trainer, held)

    def _check(self, trainer: Trainer, held: Mapping[str, Any]) -> None:
        states, schedules = held.get("optimizer_states") or [], held.get("lr_schedulers") or []
        for number, (optimizer, state) in enumerate(zip(trainer.optimizers, states, strict=False)):
            if not is_sharded(trainer):
                name = f"optimizer_states[{number}]"
                _tell(trainer, fault_of_optimizer(optimizer, state, name))
                if type(optimizer).__module__.startswith("torch.optim"):
                    copy.copy(optimizer).load_state_dict(state)  # what the own one would raise
                    _tell(trainer, fault_in_a_step(optimizer, state, name))
        for number, (config, state) in enumerate(
            zip(trainer.lr_scheduler_configs, schedules, strict=False)
        ):
            name = f"lr_schedulers[{number}]"
            _tell(trainer, fault_of_schedule(config.scheduler, state, name))
            config.scheduler.load_state_dict(dict(state))  # Lightning does so again


def fault_of_optimizer(optimizer: Optimizer, held: Mapping[str, Any], name: str) -> str:
    """What of the state of an optimizer it cannot take; "" where nothing is.

    Args:
        optimizer: as it was made.
        held: its state in a checkpoint.
        name: what messages call it.
    """
    own: Any = {"state": {}, "param_groups": [None] * len(optimizer.param_groups)}
    if fault := unlike(own, held, name):
        return fault
    for group, other in zip(optimizer.param_groups, held["param_groups"], strict=False):
        given = {**group, "params": [None] * len(group["params"])}
        chosen = {key: value for key, value in dict(other).items() if value is not None}
        needed = dict.fromkeys({"lr", "params"} & group.keys())
        part = f"{name}['param_groups']"
        if fault := unlike(given, chosen, part) or lacking(needed, chosen, part):
            return fault
        is_fused = bool(group.get("fused") or other.get("fused"))
        for weight, key in zip(group["params"], other["params"], strict=False):
            state = held["state"].get(key, {})
            if fault := _fault_of_state(weight, state, is_fused, f"{name}['state'][{key!r}]"):
                return fault
    return ""


def fault_in_a_step(optimizer: Optimizer, held: Mapping[str, Any], name: str) -> str:
    """What an optimizer of PyTorch misses in its state when it steps; "" where nothing is.

    Which entries a class needs depends on its settings (`amsgrad`, `momentum`, `centered`), so a
    new object of the class makes one step, of the smallest weight of those with the same entries.

    Args:
        optimizer: as it was made.
        held: its state in a checkpoint, of the right shapes.
        name: what messages call it.
    """
    for own, group in zip(optimizer.param_groups, held["param_groups"], strict=False):
        trials: dict[frozenset[str], tuple[Tensor, Any]] = {}
        for weight, key in sorted(
            zip(own["params"], group["params"], strict=False), key=lambda pair: -pair[0].numel()
        ):
            if state := held["state"].get(key):  # a weight that never had a gradient has none
                trials[frozenset(map(str, state))] = (weight, state)
        for weight, state in trials.values():
            if missing := _missing_in_a_step(type(optimizer), weight, dict(group), state):
                return f"{name} has no {missing}, which {type(optimizer).__name__} needs"
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
    held = {"state": {0: state}, "param_groups": [{**group, "params": [0]}]}
    try:
        optimizer.load_state_dict(copy.deepcopy(held))
        optimizer.step()
    except KeyError as error:
        return str(error)
    except Exception:  # such as that of a class that steps by a closure: no entry is missing
        return ""
    return ""


def _fault_of_state(weight: Tensor, state: Mapping[str, Any], is_fused: bool, name: str) -> str:
    """What of the state of a weight has not a value for each of the weight's."""
    for key, value in state.items() if is_fused else ():
        if value is None or (key == "step" and isinstance(value, Tensor) and value.numel() == 1):
            continue
        if not isinstance(value, Tensor):
            return f"{name}[{key!r}] is {str(value)[:50]!a}, expected is a tensor"
        num_bytes = value.nbytes + value.storage_offset() * value.element_size()
        if value.shape != weight.shape or num_bytes > value.untyped_storage().nbytes():
            return f"{name}[{key!r}] is {list(value.shape)}, expected is {list(weight.shape)}"
    return ""


def fault_of_schedule(schedule: Any, held: object, name: str) -> str:  # noqa: ANN401 - of any class
    """What of the state of a schedule it cannot take; "" where nothing is.

    It takes each key as an attribute, so that one called `step` would stand in a method's place.

    Args:
        schedule: as it was made.
        held: its state in a checkpoint.
        name: what messages call it.
    """
    own = schedule.state_dict()
    if fault := unlike(own, held, name):
        return fault
    keys = held.keys() if isinstance(held, Mapping) else ()
    others = [key for key in keys if key not in own and hasattr(schedule, str(key))]
    return f"{name} holds {str(others[0])[:50]!a}" if others else ""


def lacking(own: object, held: object, name: str) -> str:
    """What a state that is right has, and another one has not; "" where it has all.

    Args:
        own: the right one.
        held: the other one.
        name: what messages call it.

    >>> lacking({"total": {"ready": 0}}, {"total": {}}, "loop")
    "loop['total'] has no 'ready'"
    """
    if not isinstance(own, Mapping) or not isinstance(held, Mapping):
        return ""
    if missing := own.keys() - held.keys():
        return f"{name} has no {min(missing)!r}"
    return next(filter(None, (lacking(own[k], held[k], f"{name}[{k!r}]") for k in own)), "")


def _is_of_now(checkpoint: Mapping[str, Any]) -> bool:
    """Whether the versions of now have written it, whose states have the same parts."""
    own = (checkpoint.get("lit_hf") or {}).get("version")
    held = checkpoint.get("pytorch-lightning_version")
    return (own, held) == (__version__, lightning.__version__)


def _tell(trainer: Trainer, fault: str) -> None:
    if fault:
        raise DamagedError(
            f"{trainer.ckpt_path}: damaged, or of another kind of training: {fault[:300]}."
        )
