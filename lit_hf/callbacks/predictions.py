"""PredictionWriter: every answer once, in the order of the rows."""

import csv
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.batches import Prediction
from lit_hf.functional.text import printable


class PredictionWriter(Callback):
    """Writes `predictions.jsonl`, and `submission.csv` where the data names an id column.

    Each process writes its answers as they come; at the end the first one puts them in the order
    of the rows and gives the files their names. `submission.csv` has the columns of the training
    file: the id and the label.

    Args:
        file_name: name of the file of answers in the run folder.
    """

    def __init__(self, file_name: str = "predictions.jsonl") -> None:
        if Path(file_name).name != file_name:
            raise ValueError(f"Expected `file_name` to be a plain file name, but got {file_name!r}")
        self.file_name = file_name

    def _part(self, trainer: Trainer, rank: int) -> Path:
        return Path(trainer.default_root_dir) / f".{self.file_name}.part-{rank}"

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin an empty part on every process."""
        part = self._part(trainer, trainer.global_rank)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"")

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
        rows = cast("list[Prediction]", outputs)
        with self._part(trainer, trainer.global_rank).open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join the parts in the order of the rows."""
        trainer.strategy.barrier("predictions")
        if not trainer.is_global_zero:
            return
        parts = [self._part(trainer, rank) for rank in range(trainer.world_size)]
        folder = Path(trainer.default_root_dir)
        columns = getattr(getattr(trainer, "datamodule", None), "columns", None)
        header = [columns.id, columns.label] if columns is not None and columns.id else None
        written = join_parts(parts, folder / self.file_name, header)
        for part in parts:
            part.unlink()
        print("wrote " + " and ".join(printable(str(path), 300) for path in written))


def join_parts(parts: Sequence[Path], target: Path, header: Sequence[str] | None) -> list[Path]:
    """Merge files of answers by row number; only the row numbers are held in memory.

    Args:
        parts: one JSON object a line, each with its `index`.
        target: the file to write; beside it `submission.csv` where there is a header.
        header: names of the id and label column.

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
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())
        os.replace(unfinished, target)
        if header is not None:
            table = target.with_name("submission.csv")
            unfinished = target.with_name(".submission.csv.tmp")
            with unfinished.open("w", encoding="utf-8", newline="") as out:
                writer = csv.writer(out, lineterminator="\n")
                writer.writerow(header)
                writer.writerows([row["id"], _cell(row["prediction"])] for row in rows())
            os.replace(unfinished, table)
            written.append(table)
        return written
    finally:
        for stream in streams:
            stream.close()


def _cell(answer: object) -> object:
    return ",".join(map(str, answer)) if isinstance(answer, list) else answer
