"""TrainingRecord: what a module knows of the training of its weights, to compare other data with.

Letters: N rows.
"""

import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import Trainer
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lit_hf.errors import InputError
from lit_hf.functional.differences import Fact, differences
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.early_stops import stop_again
from lit_hf.modules.input_checks import Pretrained, check_tokens, exported_inputs, warn_of_inputs
from lit_hf.modules.monitors import forget_best
from lit_hf.pretrained.processor_files import data_description
from lit_hf.pretrained.tokenizers import load_tokenizer

log = logging.getLogger(__name__)
Keys = NDArray[np.int64]


class TrainingRecord:
    """Keeps what the weights of a module were trained on, in checkpoints too.

    Data that gives tokens other numbers than the weights have learnt is refused. Rows that become
    other inputs, rows that were trained, and scores that do not compare are named in a warning.
    """

    def __init__(self) -> None:
        self._trained: Keys = np.zeros(0, np.int64)  # eight bytes a row
        self._validated: Keys = np.zeros(0, np.int64)
        self._facts: dict[str, Fact] = {}  # of the latest validation rows
        self._inputs: Mapping[str, Any] | None = None  # how rows become inputs
        self._vocabulary: dict[str, int] | None = None

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Write the rows; the data module itself writes its inputs and its tokenizer."""
        checkpoint["lit_hf"]["rows"] = {
            "trained": torch.from_numpy(self._trained),
            "validated": torch.from_numpy(self._validated),
            "facts": self._facts,
        }

    def load(self, trainer: Trainer | None, checkpoint: dict[str, Any]) -> None:
        """Take the record of a checkpoint, and compare the data of a Trainer with it.

        Args:
            trainer: None where nothing runs the module.
            checkpoint: loses its scores of other validation rows where a training resumes.

        Raises:
            InputError: if the data gives a token another number.
        """
        about = checkpoint.get("lit_hf") or {}
        self._facts = dict(saved_facts(checkpoint))
        if rows := about.get("rows"):
            self._trained = rows["trained"].cpu().numpy().copy()
            self._validated = rows["validated"].cpu().numpy().copy()
        if (file := _tokenizer_file(checkpoint)) is not None:
            self._vocabulary = Tokenizer.from_buffer(file).get_vocab()
            check_tokens(trainer, self._vocabulary, "the checkpoint")
        if trainer is not None and trainer.state.fn == "fit":
            changes = changed_validation(trainer, self._facts)
            stop_again(trainer, checkpoint, is_comparable=not changes)
            if changes:
                scores = about.get("metrics") or {}
                about["metrics"] = {k: v for k, v in scores.items() if not k.startswith("val/")}
                about["validated"] = None
            return
        found: Any = data_description(checkpoint).get("inputs")
        self._inputs = found or {}
        if trainer is not None:
            warn_of_inputs(trainer, self._inputs or {})

    def check_data(self, trainer: Trainer, module: Pretrained) -> None:
        """Compare the data of a Trainer with the weights that are there already; in `setup`.

        Raises:
            InputError: if the data gives a token another number.
        """
        data = DataFacts(trainer)
        if trainer.state.fn == "fit":
            self._inputs = data.inputs
        if trainer.ckpt_path is not None:
            return  # its weights come later
        if trainer.state.fn != "fit":
            warn_of_inputs(
                trainer, exported_inputs(module) if self._inputs is None else self._inputs
            )
        if self._vocabulary is not None:
            check_tokens(trainer, self._vocabulary, "the checkpoint")
        elif module.pretrained and data.model_name not in (None, module.model_name):
            try:
                vocabulary = load_tokenizer(module.model_name).get_vocab()
            except InputError:  # a model without a tokenizer
                return
            check_tokens(trainer, vocabulary, f"model {module.model_name!r}")

    def begin_training(self, trainer: Trainer) -> None:
        """Record the rows; start the best score again where other rows are validated."""
        if (data := _data_of(trainer)) is None:
            return
        changes = changed_validation(trainer, self._facts)
        if changes and (best := forget_best(trainer)) is not None:
            best_before = f" {best}, the best before, stays until a file of its name is written."
            _warn(
                trainer,
                f"the validation scores other rows than before ({'; '.join(changes)}), so the best "
                f"score starts again.{best_before if best else ''}",
            )
        keys = data.row_keys("val")
        if num := self._num_trained(keys, "val"):
            _warn(trainer, _of_trained_rows(num, len(keys), "validation"))
        self._trained = np.union1d(self._trained, data.row_keys("train"))
        if facts := _facts_of(trainer):
            self._validated, self._facts = keys, facts

    def begin_evaluation(self, trainer: Trainer, split: Literal["val", "test"]) -> None:
        """Warn where rows of an evaluation were trained, or are not those of the validations.

        Raises:
            InputError: if the rows are set aside from the training rows in another way than in the
                training, so that some were trained.
        """
        data = _data_of(trainer)
        if data is None or not len(self._trained) or trainer.state.fn not in ("validate", "test"):
            return
        keys = data.row_keys(split)
        num = self._num_trained(keys, split)
        if num and data.is_set_aside(split):
            raise InputError(
                f"{num} of {len(keys)} validation rows were trained: the file, `val_fraction` or "
                "`seed` by which they are set aside has changed since the training. Restore it, or "
                "give rows that were not trained as `val_file`."
            )
        if num:
            _warn(
                trainer, _of_trained_rows(num, len(keys), "validation" if split == "val" else split)
            )
        elif split == "val" and (changes := changed_validation(trainer, self._facts)):
            _warn(
                trainer,
                f"the validation scores other rows than in the training ({'; '.join(changes)}): do "
                "not compare these scores with those of the training.",
            )

    def _num_trained(self, keys: Keys, split: Literal["val", "test"]) -> int:
        """How many rows were trained; of rows that the training validated it has warned itself."""
        is_trained = np.isin(keys, self._trained)
        return int((is_trained & ~np.isin(keys, self._validated if split == "val" else [])).sum())


def changed_validation(trainer: Trainer, saved: Mapping[str, Fact]) -> list[str]:
    """What differs between the validations of a Trainer and those of a training.

    Args:
        trainer: with its data.
        saved: the facts of the training's validations; {} where they are not known.
    """
    own = _facts_of(trainer)
    return differences(saved, own) if saved and own else []


def saved_facts(checkpoint: Mapping[str, Any]) -> Mapping[str, Fact]:
    """The facts of the latest validation rows in a checkpoint; {} where there are none."""
    rows = (checkpoint.get("lit_hf") or {}).get("rows") or {}
    return rows.get("facts") or {}


def _tokenizer_file(checkpoint: dict[str, Any]) -> bytes | None:
    """The file of the tokenizer in the state of the data module; None where it has none."""
    states = (state for state in checkpoint.values() if isinstance(state, dict))
    found = (state["processor"] for state in states if "processor" in state)
    files: dict[str, Any] = next(found, {})
    file = files.get("tokenizer.json")
    return None if file is None else np.asarray(file).tobytes()


def _data_of(trainer: Trainer) -> Any:  # noqa: ANN401 - modules do not know the data's class
    """A data module that recognises its rows, as an `HFDataModule` does; else None."""
    data = DataFacts(trainer).source
    return data if hasattr(data, "row_keys") else None


def _facts_of(trainer: Trainer) -> dict[str, Fact]:
    """What makes the scores of two validations comparable; {} where nothing is validated."""
    data, limit = _data_of(trainer), trainer.limit_val_batches
    if data is None or not limit or not (facts := data.validation_facts()):
        return {}
    is_all = isinstance(limit, float) and limit == 1.0  # the integer 1 is one batch
    rows = "all" if is_all else f"{limit} of {data.eval_batch_size} on {trainer.world_size}"
    return {**facts, "limit_val_batches": rows}


def _of_trained_rows(num: int, total: int, name: str) -> str:
    return (
        f"{num} of {total} {name} rows ({num / total:.1%}) are rows that the weights were trained "
        "on: scores on them say little."
    )


def _warn(trainer: Trainer, message: str) -> None:
    if trainer.is_global_zero:
        log.warning(message)
