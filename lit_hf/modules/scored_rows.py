"""ScoredRows: which rows a module has been trained on, and which ones its best score is of.

Letters: N rows.
"""

import logging
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from lightning.pytorch import Trainer
from numpy.typing import NDArray

from lit_hf.errors import InputError
from lit_hf.functional.differences import Fact, differences
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.early_stops import stop_again
from lit_hf.modules.monitors import forget_best

log = logging.getLogger(__name__)
Keys = NDArray[np.int64]
_CONTENT = "content of the validation rows"
_LIMIT = "limit_val_batches"
_APART = ": do not compare these scores with those of the training."


@runtime_checkable
class Knowing(Protocol):
    """Data that knows its rows again, as an `HFDataModule` does."""

    eval_batch_size: int

    def row_keys(self, split: str) -> Keys:
        """A number for each row of a split, [N]: equal numbers are equal inputs."""

    def validation_facts(self) -> dict[str, Fact]:
        """What makes the scores of two validations comparable; {} where there are no rows."""

    def is_set_aside(self, split: str) -> bool:
        """Whether the rows of a split are a part of the training rows' source."""


class ScoredRows:
    """Keeps in checkpoints which rows were trained and validated, and compares them.

    A score says little of rows that were trained, and the best of some validations is not the best
    of others that score other rows. Kept are eight bytes for each row, and the facts of the last
    validation rows.
    """

    def __init__(self) -> None:
        self._trained: Keys = np.zeros(0, np.int64)
        self._validated: Keys = np.zeros(0, np.int64)
        self._facts: dict[str, Fact] = {}

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Write what is known, in plain types and tensors."""
        checkpoint["lit_hf"]["rows"] = {
            "trained": torch.from_numpy(self._trained),
            "validated": torch.from_numpy(self._validated),
            "facts": self._facts,
        }

    def load(self, trainer: Trainer | None, checkpoint: dict[str, Any]) -> None:
        """Take what a checkpoint knows; of scores that do not count any more it forgets the last.

        Args:
            trainer: None where nothing runs the module.
            checkpoint: changed in place where a training goes on with other validation rows.
        """
        about = checkpoint.get("lit_hf") or {}
        held = about.get("rows") or {}
        self._trained, self._validated = (
            held[name].cpu().numpy().copy() if held else np.zeros(0, np.int64)
            for name in ("trained", "validated")
        )
        self._facts = held.get("facts") or {}
        if trainer is None or trainer.state.fn != "fit":
            return
        changes = self._changes(trainer)
        stop_again(trainer, checkpoint, is_comparable=not changes)
        if changes:
            scores = about.get("metrics") or {}
            about["metrics"] = {k: v for k, v in scores.items() if not k.startswith("val/")}
            about["validated"] = None

    def _changes(self, trainer: Trainer) -> list[str]:
        """What is other in the validations of a training than in those before."""
        own = _facts_of(trainer)
        return differences(self._facts, own) if self._facts and own else []

    def begin_training(self, trainer: Trainer) -> None:
        """Let the best score begin anew where other rows are validated; take the training rows."""
        data = _data_of(trainer)
        if data is None:
            return
        if (changes := self._changes(trainer)) and (kept := forget_best(trainer)) is not None:
            where = (
                f" {kept}, the best of before, stays until a file of its name is written."
                if kept
                else ""
            )
            _warn(
                trainer,
                f"the validation scores other rows than before ({'; '.join(changes)}), so the best "
                f"score begins anew.{where}",
            )
        keys = data.row_keys("val")
        if num := self._num_trained(keys, "val"):
            _warn(trainer, _told(num, len(keys), "validation"))
        self._trained = np.union1d(self._trained, data.row_keys("train"))
        if facts := _facts_of(trainer):
            self._validated, self._facts = keys, facts

    def begin_evaluation(self, trainer: Trainer, split: Literal["val", "test"]) -> None:
        """Say where the rows of an evaluation were trained.

        Raises:
            InputError: if they are set aside from the training rows, as others than those that the
                training has set aside.
        """
        data = _data_of(trainer)
        if data is None or not len(self._trained) or trainer.state.fn not in ("validate", "test"):
            return
        keys = data.row_keys(split)
        num = self._num_trained(keys, split)
        if num and data.is_set_aside(split):
            raise InputError(
                f"{num} of {len(keys)} validation rows were trained: they are set aside from the "
                "training rows, but not as in the training, of which the file, `val_fraction` or "
                "`seed` has changed. Restore it; or give rows that were not trained as `val_file`."
            )
        if num:
            _warn(trainer, _told(num, len(keys), "validation" if split == "val" else split))
        elif split == "val" and self._is_of_others(data):
            _warn(trainer, _told_others(keys, self._validated))
        elif split == "val" and (limit := self._other_limit(trainer)):
            _warn(trainer, f"{limit}{_APART}")

    def _other_limit(self, trainer: Trainer) -> str:
        """How another part of the validation rows is scored than in the training; "" if none is."""
        own, before = (facts.get(_LIMIT, "1.0") for facts in (_facts_of(trainer), self._facts))
        return "" if own == before else f"`{_LIMIT}` is {own}, in the training it was {before}"

    def _is_of_others(self, data: Knowing) -> bool:
        content = data.validation_facts().get(_CONTENT)
        return self._facts.get(_CONTENT, content) != content

    def _num_trained(self, keys: Keys, split: Literal["val", "test"]) -> int:
        """How many rows were trained; those that the training has validated it has told itself."""
        is_trained = np.isin(keys, self._trained)
        return int((is_trained & ~np.isin(keys, self._validated if split == "val" else [])).sum())


def changed_validation(trainer: Trainer, checkpoint: dict[str, Any]) -> list[str]:
    """What is other in the validations of a training than in those of its checkpoint."""
    held = ((checkpoint.get("lit_hf") or {}).get("rows") or {}).get("facts") or {}
    own = _facts_of(trainer)
    return differences(held, own) if held and own else []


def _data_of(trainer: Trainer) -> Knowing | None:
    data = DataFacts(trainer).source
    return data if isinstance(data, Knowing) else None


def _facts_of(trainer: Trainer) -> dict[str, Fact]:
    """What makes the scores of two validations comparable; {} where nothing is validated."""
    data, limit = _data_of(trainer), trainer.limit_val_batches
    if data is None or not limit or not (facts := data.validation_facts()):
        return {}
    facts[_LIMIT] = str(limit)  # 1 is one batch, 1.0 all
    if str(limit) != "1.0":
        facts[_LIMIT] = f"{limit} of {data.eval_batch_size} on {trainer.world_size}"
    return facts


def _told(num: int, total: int, name: str) -> str:
    return (
        f"{num} of {total} {name} rows ({num / total:.1%}) are rows that the weights were trained "
        "on: scores on them say little."
    )


def _told_others(keys: Keys, validated: Keys) -> str:
    what = "the validation rows are read otherwise than in the training (another `max_length`?)"
    if not np.array_equal(keys, validated):
        num, total = int((~np.isin(keys, validated)).sum()), len(validated)
        what = f"{num} of {len(keys)} validation rows are none of the {total} of the training"
    return f"{what}{_APART}"


def _warn(trainer: Trainer, told: str) -> None:
    if trainer.is_global_zero:
        log.warning(told)
