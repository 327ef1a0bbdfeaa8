"""PredictionWriter: every answer once, in the order of the rows."""

import csv
import glob
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.batches import Prediction
from lit_hf.callbacks.export import data_description
from lit_hf.callbacks.panels import json_line, show
from lit_hf.checkpoints import read_checkpoint
from lit_hf.data.text_classification import TextClassificationDataModule
from lit_hf.errors import InputError
from lit_hf.functional.text import printable


class PredictionWriter(Callback):
    """Writes `predictions.jsonl`, and `submission.csv` where the data names an id column.

    Each process writes its answers as they come; at the end the first one puts them in the order
    of the rows and gives the files their names. `submission.csv` has the columns of the training
    file, the id and the label, with the labels as that file writes them.

    Args:
        file_name: name of the file of answers in the run folder.

    Raises:
        InputError: if that is no plain name, or if batches do not number their rows.
    """

    def __init__(self, file_name: str = "predictions.jsonl") -> None:
        if file_name in ("", "..") or Path(file_name).name != file_name:
            raise InputError(f"Expected `file_name` to be a plain file name, but got {file_name!r}")
        self.file_name = file_name

    def _part(self, trainer: Trainer, rank: int) -> Path:
        return Path(trainer.default_root_dir) / f".{self.file_name}.part-{rank}"

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin an empty part on every process; those of a killed run with more of them go."""
        part = self._part(trainer, trainer.global_rank)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"")
        if trainer.is_global_zero:
            kept = {self._part(trainer, rank) for rank in range(trainer.world_size)}
            for left in set(part.parent.glob(f"{glob.escape(part.stem)}.part-*")) - kept:
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
        """Add the answers of a batch to the part of this process."""
        if not (isinstance(batch, Mapping) and "index" in batch):
            raise InputError(
                "PredictionWriter puts answers in the order of the rows: the batches need their "
                "numbers as `index`, as those of an `HFDataModule` have."
            )
        rows = cast("list[Prediction]", outputs)
        with self._part(trainer, trainer.global_rank).open("a", encoding="utf-8") as stream:
            stream.writelines(map(json_line, rows))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join the parts in the order of the rows."""
        trainer.strategy.barrier("predictions")
        if not trainer.is_global_zero:
            return
        parts = [self._part(trainer, rank) for rank in range(trainer.world_size)]
        folder = Path(trainer.default_root_dir)
        written = join_parts(parts, folder / self.file_name, _table_form(trainer))
        for part in parts:
            part.unlink()
        show(trainer, "wrote " + " and ".join(printable(str(path), 300) for path in written))


class TableForm(NamedTuple):
    """What `submission.csv` looks like.

    Attributes:
        header: names of the id and the label column.
        labels: how the training file writes a class, where that is not its name.
        separator: what stands between several labels.
    """

    header: tuple[str, str]
    labels: Mapping[str, str]
    separator: str


def join_parts(parts: Sequence[Path], target: Path, form: TableForm | None) -> list[Path]:
    """Merge files of answers by row number; only the row numbers are held in memory.

    Args:
        parts: one JSON object a line, each with its `index`.
        target: the file to write; beside it `submission.csv` where there is a form for it.
        form: what that looks like.

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

        written = [target]
        unfinished = target.with_name(f".{target.name}.tmp")
        with unfinished.open("w", encoding="utf-8") as out:
            out.writelines(map(json_line, rows()))
        os.replace(unfinished, target)
        if form is not None:
            table = target.with_name("submission.csv")
            unfinished = target.with_name(".submission.csv.tmp")
            with unfinished.open("w", encoding="utf-8", newline="") as out:
                writer = csv.writer(_UnixLines(out))
                writer.writerow(form.header)
                writer.writerows([row["id"], _cell(row["prediction"], form)] for row in rows())
            os.replace(unfinished, table)
            written.append(table)
        return written
    finally:
        for stream in streams:
            stream.close()


class _UnixLines:
    r"""Ends lines in "\n": a csv.writer told to do so would leave an id with "\r" unquoted."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, line: str) -> None:
        r"""Take a line that ends in "\r\n"."""
        self.stream.write(line.removesuffix("\r\n") + "\n")


def _cell(answer: object, form: TableForm) -> object:
    if isinstance(answer, list):
        return form.separator.join(form.labels.get(name, name) for name in answer)
    return form.labels.get(answer, answer) if isinstance(answer, str) else answer


def _table_form(trainer: Trainer) -> TableForm | None:
    """The columns and labels of the training file; None where the data names no id column."""
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, TextClassificationDataModule) or not data.columns.id:
        return None
    names = cast("list[str]", getattr(trainer.lightning_module, "label_names", None) or [])
    found = _classes_of_training(data.describe())
    if not found and trainer.ckpt_path:
        found = _classes_of_training(data_description(read_checkpoint(str(trainer.ckpt_path))))
    numbers = [str(index) for index in range(len(names))]
    are_numbers = found <= set(numbers) and not found <= set(names)  # as `class_ids` reads them
    labels = dict(zip(names, numbers, strict=True)) if are_numbers else {}
    label = data.columns.label or "label"
    return TableForm((data.columns.id, label), labels, data.columns.separator)


def _classes_of_training(about: Mapping[str, object]) -> set[str]:
    classes = cast("Mapping[str, Mapping[str, int]]", about.get("classes") or {})
    return set(classes.get("train") or {})
