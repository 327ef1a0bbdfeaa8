"""SampleLogger: what the model answers while it learns, in words a person can read."""

import heapq
import json
import logging
import sys
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.batches import Sample, StepOutput
from lit_hf.callbacks.earlier_run import set_aside
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.rendering.grid import draw_grid, save_grid
from lit_hf.callbacks.rendering.table import json_line, log_image, log_samples, render, show
from lit_hf.callbacks.truncate_log import drop_later
from lit_hf.errors import InputError
from lit_hf.files.atomic import append_text
from lit_hf.modules.base import HFModule

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)
Batch = Mapping[str, object]
Place = tuple[int, int]  # minus the numbers of loader and row, so that the first row ranks highest
Ranked = list[tuple[float, Place, Sample]]


class SampleLogger(Callback):
    """Shows input, prediction with probability, and truth.

    The input is the text as the user wrote it, as far as the model saw it.

    In training every so many steps, from the logits of the step itself; only a model that writes
    its answers writes them for the panel. At each validation a fixed panel of the same examples,
    with what the model said before, and the examples of the largest loss. Goes to the console, to
    `samples.jsonl` in the run folder and to every logger that takes text (TensorBoard, W&B,
    MLflow). Images are drawn besides, as the model saw them: a picture of each panel in the folder
    `samples` and in every logger that takes pictures.

    On several devices the training panel shows examples of the first one; the validation panels
    are drawn from all.

    Args:
        every_n_steps: optimizer steps between two training panels; 0 shows panels at validation
            only.
        num_samples: examples in a panel; 0 shows nothing.
        num_grids: pictures of each panel that are kept in the folder `samples`, spread evenly over
            the run from the first to the newest; 0 draws none.

    Raises:
        InputError: when set up, if the module is no `HFModule`.

    Example:
        >>> SampleLogger(every_n_steps=20, num_samples=5).num_samples
        5
    """

    def __init__(
        self, every_n_steps: int = 50, num_samples: int = 10, num_grids: int = 100
    ) -> None:
        self.every_n_steps = every_n_steps
        self.num_samples = num_samples
        self.num_grids = num_grids
        for name, value in vars(self).items():
            if value < 0:
                raise InputError(f"Expected `{name}` to be at least 0, but got {value}.")
        self._recent: deque[tuple[Batch, StepOutput]] = deque()
        self._last_step = 0
        self._is_told = False
        self._fixed: Ranked = []  # the smallest hashes of ids: the same examples every time
        self._worst: Ranked = []  # the largest losses
        self._before: dict[Place, str] = {}
        self._num_rows = 0  # validated so far, where batches do not number their rows

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that cannot show an example."""
        if not self.num_samples or stage not in ("fit", "validate"):
            return
        check_local_run(trainer)
        if not isinstance(pl_module, HFModule):
            raise InputError(
                f"SampleLogger asks the module how to show an example; {type(pl_module).__name__} "
                "is no `HFModule`."
            )
        self._before = {}  # which may be of other rows

    # Training.

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin counting where training begins or goes on."""
        self._last_step = trainer.global_step
        self._recent.clear()
        drop_later(trainer, "samples.jsonl", lambda line: cast("int", json.loads(line)["step"]))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Remember the batch; show a panel when its step has come."""
        if self.num_samples:
            set_aside(trainer)
        if not (self.every_n_steps and self.num_samples and trainer.is_global_zero):
            return
        if not (isinstance(outputs, Mapping) and "losses" in outputs):
            self._tell_none(trainer, "`training_step` returns no step output")
            return
        self._recent.append((batch, cast("StepOutput", outputs)))
        while self._num_recent() - len(self._recent[0][1]["losses"]) >= self.num_samples:
            self._recent.popleft()  # small batches: as many of the last as fill a panel
        step = trainer.global_step
        if step == self._last_step or step % self.every_n_steps:
            return
        self._last_step = step
        samples: list[Sample] = []
        shown: set[object] = set()  # of few rows one may come again within a panel
        for recent, output in reversed(self._recent):
            unknown = [None] * len(output["losses"])
            numbers = cast("Sequence[object]", recent.get("index") or unknown)
            rows = [row for row, number in enumerate(numbers) if number not in shown]
            rows = rows[: self.num_samples - len(samples)]
            shown.update({numbers[row] for row in rows} - {None})
            samples += self._samples(pl_module, recent, output, rows)
        self._publish(trainer, "train", samples, [None] * len(samples))

    def _tell_none(self, trainer: Trainer, reason: str) -> None:
        """Say once why there is nothing to show."""
        if not self._is_told and trainer.is_global_zero:
            log.warning(f"SampleLogger: {reason} to show.")
        self._is_told = True

    def _num_recent(self) -> int:
        return sum(len(output["losses"]) for _, output in self._recent)

    # Validation.

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin new panels."""
        self._fixed, self._worst, self._num_rows = [], [], 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the examples that belong in a panel."""
        if trainer.sanity_checking or not self.num_samples:
            return
        output = cast("StepOutput", outputs)
        first, self._num_rows = self._num_rows, self._num_rows + len(output["losses"])
        numbers = cast("Sequence[int]", batch.get("index") or range(first, self._num_rows))
        places = [(-dataloader_idx, -number) for number in numbers]
        ids = cast("list[str]", batch.get("id") or [str(number) for number in numbers])
        copies = batch.get("is_padding")
        copy = copies.tolist() if isinstance(copies, torch.Tensor) else [False] * len(places)
        hashes = [-float(zlib.crc32(name.encode("utf-8", "backslashreplace"))) for name in ids]
        losses = [value if value == value else float("inf") for value in output["losses"].tolist()]
        for panel, keys in ((self._fixed, hashes), (self._worst, losses)):
            ranks = list(zip(keys, places, strict=True))
            rows = [r for r, rank in enumerate(ranks) if not copy[r] and self._enters(panel, rank)]
            shown = self._samples(pl_module, batch, output, rows)
            if rows and not shown:
                self._tell_none(trainer, "the batches hold tokens only and no text")
                return
            for row, sample in zip(rows, shown, strict=True):
                if self._enters(panel, ranks[row]):
                    heapq.heappush(panel, (*ranks[row], sample))
                if len(panel) > self.num_samples:
                    heapq.heappop(panel)

    def _enters(self, panel: Ranked, rank: tuple[float, Place]) -> bool:
        return len(panel) < self.num_samples or rank > panel[0][:2]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join the panels of all processes and show them."""
        if trainer.sanity_checking or not self.num_samples:
            return
        fixed, worst = self._join(self._fixed), self._join(self._worst)
        if not trainer.is_global_zero:
            return
        before = [self._before.get(place) for _, place, _ in fixed]
        self._publish(trainer, "fixed", [sample for *_, sample in fixed], before)
        self._publish(trainer, "worst", [sample for *_, sample in worst], [None] * len(worst))
        self._before = {place: sample["prediction"] for _, place, sample in fixed}

    def _join(self, panel: Ranked) -> Ranked:
        """The panel over all processes, highest rank first; every process must call it."""
        parts = [panel]
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            parts = [[] for _ in range(dist.get_world_size())]
            dist.all_gather_object(parts, panel)
        ranked = sorted(chain(*parts), key=lambda entry: entry[:2], reverse=True)
        return ranked[: self.num_samples]

    # Both.

    def _samples(
        self, pl_module: LightningModule, batch: Batch, output: StepOutput, rows: Sequence[int]
    ) -> list[Sample]:
        return cast("HFModule", pl_module).samples(batch, output, rows)

    def _publish(
        self,
        trainer: Trainer,
        panel: str,
        samples: Sequence[Sample],
        before: Sequence[str | None],
    ) -> None:
        if not samples:
            return
        title = {
            "train": "training examples",
            "fixed": "validation, the same examples each time",
            "worst": "validation, the largest losses",
        }[panel]
        step, epoch = trainer.global_step, trainer.current_epoch
        mark: dict[str, object] = {"panel": panel, "step": None, "epoch": None}
        if trainer.state.fn == "fit":  # an evaluation takes no training step
            title = f"step {step} · epoch {epoch} · {title}"
            mark |= {"step": step, "epoch": epoch}
        folder = Path(trainer.default_root_dir)
        grid = draw_grid(title, samples, before) if self.num_grids else None
        image: dict[str, object] = {}
        if grid is not None:
            number = "validate" if mark["step"] is None else f"{step:06}"
            image["image"] = save_grid(grid, folder, panel, number, self.num_grids)
        text = render(title, samples, before, color=sys.stdout.isatty())
        told = [f"   pictures: {folder / str(image['image'])}"] if image else []
        show(trainer, "\n".join([text, *told]))
        rows = [{name: value for name, value in s.items() if name != "image"} for s in samples]
        lines = "".join(json_line({**mark, **row, **image}) for row in rows)
        append_text(folder / "samples.jsonl", lines)
        for logger in trainer.loggers:
            log_samples(logger, f"samples/{panel}", samples, step)
            if grid is not None:
                log_image(logger, f"samples/{panel}_grid", grid, step)
