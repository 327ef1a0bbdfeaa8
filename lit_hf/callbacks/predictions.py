"""PredictionWriter: every answer once, in the order of the rows."""

import codecs
import json
import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.batches import StepOutput
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.rendering.table import json_line, show
from lit_hf.callbacks.results_file import SPLITS, name_files
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.data.answer_forms import AnswerForm
from lit_hf.data.base import HFDataModule
from lit_hf.errors import InputError
from lit_hf.files.atomic import new_files
from lit_hf.metrics.gathered import over_processes
from lit_hf.modules.contract import TaskModule
from lit_hf.pretrained.processor_files import data_description

log = logging.getLogger(__name__)
Evaluation = Literal["validate", "test"]


class PredictionWriter(Callback):
    """Writes `predictions.jsonl`, and beside it the file that the task's users expect.

    At the end the first process puts the answers of all into the order of the rows. For classes of
    data with an id column the other file is `submission.csv`, with the columns of the training file
    and the labels as that file writes them; for questions it is `predictions.json`, as SQuAD's
    script reads it. `results.json` names the weights of each file.

    Args:
        file_name: name of the file of answers in the run folder.
        evaluations: verbs that write their answers too, each with its `truth` beside and whether it
            is `correct`: of "test" into `test_predictions.jsonl`, of "validate" into
            `validate_predictions.jsonl`.

    Raises:
        InputError: if that is no plain name, or if batches do not number their rows.
    """

    def __init__(
        self, file_name: str = "predictions.jsonl", evaluations: list[Evaluation] | None = None
    ) -> None:
        is_plain = Path(file_name).name == file_name and file_name.endswith(".jsonl")
        if not is_plain or file_name in (".jsonl", "samples.jsonl"):
            raise InputError(
                "Expected `file_name` to be a plain name that ends in .jsonl and is not "
                f"samples.jsonl, but got {file_name!r}."
            )
        self.file_name = file_name
        self.evaluations = list(evaluations or [])
        self._lines: list[str] = []  # answers of this process
        self.run_files = (file_name, *(f"{verb}_{file_name}" for verb in self.evaluations))

    def _writes(self, trainer: Trainer) -> bool:
        return _verb(trainer) in ("predict", *self.evaluations)

    def _file(self, trainer: Trainer) -> Path:
        beginning = "" if _verb(trainer) == "predict" else f"{_verb(trainer)}_"
        return Path(trainer.default_root_dir) / f"{beginning}{self.file_name}"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a run folder that is an address."""
        if self._writes(trainer):
            check_local_run(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start without answers."""
        self._lines = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        *args: object,
        **kwargs: object,
    ) -> None:
        """Add the answers of a batch to the part of this process, in an evaluation with truth.

        Raises:
            InputError: if rows have no number, or the module knows no truth.
        """
        if not self._writes(trainer):
            return
        rows = outputs
        if _verb(trainer) != "predict":
            is_numbered = isinstance(batch, Mapping) and "index" in batch
            if not isinstance(pl_module, TaskModule):
                raise InputError("PredictionWriter: only an `HFModule` has answers with a truth.")
            step_output = cast("StepOutput", outputs)
            rows = pl_module.answers_with_truth(batch, step_output) if is_numbered else None
        if not isinstance(rows, Sequence) or any("index" not in row for row in rows):
            raise InputError(
                "PredictionWriter puts answers in the order of the rows by their number: expected "
                "`index` in each batch, and in each dict of the list that `predict_step` returns."
            )
        self._lines += map(json_line, rows)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join the answers of all processes in the order of the rows."""
        if not self._writes(trainer):
            return
        lines = list(chain(*over_processes(self._lines)))
        if not trainer.is_global_zero:
            return
        form = form_of(trainer) if _verb(trainer) == "predict" else None
        written = write_in_order(lines, self._file(trainer), form)
        warn_of_part(trainer, len(lines))
        weights = name_files(trainer, pl_module, written)
        step = None if weights["step"] is None else f"step {weights['step']}"
        of = ", ".join(filter(None, (step, weights["checkpoint"], weights.get("model"))))
        show(trainer, f"wrote {' and '.join(map(str, written))}\nby the weights of {of}")

    on_validation_start = on_test_start = on_predict_start
    on_validation_batch_end = on_test_batch_end = on_predict_batch_end
    on_validation_end = on_test_end = on_predict_end


def _verb(trainer: Trainer) -> str:
    """What a Trainer does, such as "test"."""
    return str(trainer.state.fn.value) if trainer.state.fn is not None else ""


def form_of(trainer: Trainer) -> AnswerForm | None:
    """The file that the users of a task expect, by its data; None where there is none."""
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, HFDataModule):
        return None
    path = trainer.ckpt_path
    trained = data_description(read_checkpoint(str(path))) if path else {}
    module = trainer.lightning_module
    names: list[str] = getattr(module, "label_names", None) or []
    if not trained and getattr(module, "labels_are", None) == "numbers":  # of an exported folder
        trained = {"classes": {"train": {str(number): 1 for number in range(len(names))}}}
    return data.answer_form(names, trained)


def write_in_order(lines: Sequence[str], target: Path, form: AnswerForm | None) -> list[Path]:
    """Write answers in the order of their rows.

    Args:
        lines: JSON objects, each with its `index`.
        target: the file to write.
        form: the file that others expect, which is written beside it.

    Returns:
        The files written.
    """
    rows: list[dict[str, Any]] = sorted(map(json.loads, lines), key=lambda row: int(row["index"]))
    for row in rows:
        row.pop("index")
    paths = [target, *([] if form is None else [target.with_name(form.file_name)])]
    with new_files(paths) as streams:
        streams[0].writelines(json_line(row).encode() for row in rows)
        if form is not None:
            form.write(codecs.getwriter("utf-8")(streams[1]), iter(rows))
    return paths


def warn_of_part(trainer: Trainer, num_written: int) -> None:
    """Warn where a setting of the Trainer has left rows without an answer."""
    data = getattr(trainer, "datamodule", None)
    split = SPLITS[_verb(trainer)]
    if isinstance(data, HFDataModule) and num_written < (num_rows := data.rows(split).num_rows):
        is_trial: bool = trainer.fast_dev_run  # type: ignore[attr-defined]  # set by a connector
        limit = "fast_dev_run" if is_trial else f"limit_{split}_batches"
        log.warning(f"only {num_written} of {num_rows} rows have an answer (`trainer.{limit}`).")


def earlier_answers(trainer: Trainer) -> str:
    """A message that answers in the run folder are of an earlier run; "" where there are none."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
    writers = [callback for callback in callbacks if isinstance(callback, PredictionWriter)]
    paths = [Path(trainer.default_root_dir) / writer.file_name for writer in writers]
    found = " and ".join(str(path) for path in paths if path.exists())
    return f"\nWhat lies in {found}, and beside it, is of an earlier run." if found else ""
