"""PredictionWriter: every answer once, in the order of the rows."""

import codecs
import glob
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.batches import Prediction, StepOutput
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.rendering.table import json_line, show
from lit_hf.callbacks.results_file import SPLITS, forget_files, name_files
from lit_hf.callbacks.same_start import check_same_start
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.data.answer_forms import AnswerForm
from lit_hf.data.base import HFDataModule
from lit_hf.errors import InputError
from lit_hf.files.atomic import append_text, new_files, write_bytes
from lit_hf.files.urls import check_local
from lit_hf.files.write_errors import naming
from lit_hf.functional.text import printable
from lit_hf.modules.contract import TaskModule
from lit_hf.pretrained.processor_files import data_description

log = logging.getLogger(__name__)
Evaluation = Literal["validate", "test"]


class PredictionWriter(Callback):
    """Writes `predictions.jsonl`, and beside it the file that the task's users expect.

    Each process writes its answers as they come; at the end the first one puts them in the order
    of the rows and gives the files their names. For classes of data with an id column the other
    file is `submission.csv`, with the columns of the training file and the labels as that file
    writes them; for questions it is `predictions.json`, as SQuAD's script reads it. `results.json`
    says which weights each file is of.

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
        if others := set(evaluations or []) - {*get_args(Evaluation)}:
            raise InputError(
                f"Expected `evaluations` to be a list of {get_args(Evaluation)}, but got "
                f"{sorted(others)!r}."
            )
        self.file_name = file_name
        self.evaluations = list(evaluations or [])
        self.run_files = (file_name, *(self._name(verb) for verb in self.evaluations))

    def _name(self, verb: str) -> str:
        return self.file_name if verb == "predict" else f"{verb}_{self.file_name}"

    def _writes(self, trainer: Trainer) -> bool:
        """Whether the answers of what the Trainer does are written."""
        return _verb(trainer) in ("predict", *self.evaluations)

    def _file(self, trainer: Trainer) -> Path:
        return Path(trainer.default_root_dir) / self._name(_verb(trainer))

    def _part(self, trainer: Trainer, rank: int) -> Path:
        path = self._file(trainer)
        return path.with_name(f".{path.name}.part-{rank}")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a run folder that is none."""
        if self._writes(trainer):
            check_local_run(trainer)
            check_same_start(trainer)  # the first process reads the parts of all

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin an empty part on every process; those of a killed run with more of them go.

        Raises:
            InputError: if the answers of an evaluation are written, and the module has no truth.
        """
        if not self._writes(trainer):
            return
        if _verb(trainer) != "predict" and not isinstance(pl_module, TaskModule):
            raise InputError(
                "PredictionWriter asks the module for answers and truth; "
                f"{type(pl_module).__name__} is no `HFModule`."
            )
        check_local("ckpt_path", trainer.ckpt_path)  # it is read again for `submission.csv`
        part = self._part(trainer, trainer.global_rank)
        write_bytes(part, b"")
        if trainer.is_global_zero:
            kept = {self._part(trainer, rank) for rank in range(trainer.world_size)}
            for left in set(part.parent.glob(f"{glob.escape(part.stem)}.part-*")) - kept:
                with naming(left):
                    left.unlink()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the answers of a batch to the part of this process, in an evaluation with truth."""
        if not self._writes(trainer):
            return
        is_predict = _verb(trainer) == "predict"
        rows = outputs if is_predict else _answers_with_truth(pl_module, outputs, batch)
        if not isinstance(rows, Sequence) or not all(map(_is_numbered, rows)):
            raise _unnumbered("`predict_step` has to give a list of dicts with it")
        append_text(self._part(trainer, trainer.global_rank), "".join(map(json_line, rows)))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join the parts in the order of the rows."""
        if not self._writes(trainer):
            return
        trainer.strategy.barrier("predictions")
        if not trainer.is_global_zero:
            return
        parts = [self._part(trainer, rank) for rank in range(trainer.world_size)]
        form = form_of(trainer) if _verb(trainer) == "predict" else None
        written = join_parts(parts, self._file(trainer), form)
        warn_of_part(trainer, parts)
        for part in parts:
            with naming(part):
                part.unlink()
        weights = name_files(trainer, pl_module, written)
        show(trainer, "wrote " + " and ".join(printable(str(path), 300) for path in written))
        step = None if weights["step"] is None else f"step {weights['step']}"
        names = (step, weights["checkpoint"], weights.get("model"))
        of = ", ".join(printable(name, 300) for name in names if name)
        show(trainer, f"by the weights of {of}")

    on_validation_start = on_test_start = on_predict_start
    on_validation_batch_end = on_test_batch_end = on_predict_batch_end
    on_validation_end = on_test_end = on_predict_end


def _answers_with_truth(
    module: LightningModule, outputs: object, batch: object
) -> list[Prediction]:
    """The answers of a batch of an evaluation; none of a module whose steps give nothing."""
    if not isinstance(outputs, Mapping):
        return []
    if not isinstance(batch, Mapping) or not _is_numbered(batch):
        raise _unnumbered("batches of `test` and `validate` have to hold it, as those of our data")
    task = cast("TaskModule[Any, Any, Any]", module)
    return task.answers_with_truth(batch, cast("StepOutput", outputs))


def _is_numbered(rows: object) -> bool:
    return isinstance(rows, Mapping) and "index" in rows


def _unnumbered(remedy: str) -> InputError:
    told = "PredictionWriter puts answers in the order of the rows by their number, `index`: "
    return InputError(f"{told}{remedy}.")


def form_of(trainer: Trainer) -> AnswerForm | None:
    """The file that the users of a task expect, as its data says; None where there is none."""
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


def _verb(trainer: Trainer) -> str:
    """What a Trainer does, such as "test"."""
    return str(trainer.state.fn.value) if trainer.state.fn is not None else ""


def warn_of_part(trainer: Trainer, parts: Sequence[Path]) -> None:
    """Say where a setting of the Trainer has left rows without an answer.

    Args:
        trainer: who has predicted.
        parts: the files of all processes, one answer a line.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, HFDataModule):
        return
    split = SPLITS[_verb(trainer)]
    num_rows = data.rows(split).num_rows
    num_written = sum(_count_lines(part) for part in parts)
    if num_written < num_rows:
        limit = "fast_dev_run" if trainer.fast_dev_run else f"limit_{split}_batches"  # type: ignore[attr-defined]  # set by a connector
        log.warning(
            f"only {num_written} of {num_rows} rows have an answer in the files "
            f"(`trainer.{limit}`)."
        )


def _count_lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(1 for _ in stream)


def earlier_answers(trainer: Trainer) -> str:
    """What is to be said of earlier answers in the run folder; "" where there are none."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
    writers = [callback for callback in callbacks if isinstance(callback, PredictionWriter)]
    paths = [Path(trainer.default_root_dir) / writer.file_name for writer in writers]
    found = " and ".join(str(path) for path in paths if path.exists())
    return f"\nWhat lies in {found}, and beside it, is of an earlier run." if found else ""


def join_parts(parts: Sequence[Path], target: Path, form: AnswerForm | None) -> list[Path]:
    """Merge files of answers by row number; only the row numbers are held in memory.

    Args:
        parts: one JSON object a line, each with its `index`.
        target: the file to write.
        form: the file that others expect, which is written beside it.

    Returns:
        The files written.
    """
    streams = [part.open("rb") for part in parts]
    try:
        places = []
        for number, stream in enumerate(streams):
            offset = 0
            for line in stream:
                places.append((json.loads(line)["index"], number, offset))
                offset += len(line)

        def rows() -> Iterator[Prediction]:
            for _, number, offset in sorted(places):
                streams[number].seek(offset)
                row = json.loads(streams[number].readline())
                row.pop("index")
                yield row

        paths = [target, *([] if form is None else [target.with_name(form.file_name)])]
        with new_files(paths, lambda: forget_files(target.parent, paths)) as outs:
            outs[0].writelines(json_line(row).encode() for row in rows())
            if form is not None:
                form.write(codecs.getwriter("utf-8")(outs[1]), rows())
        return paths
    finally:
        for stream in streams:
            stream.close()
