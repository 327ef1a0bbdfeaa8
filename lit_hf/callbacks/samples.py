"""SampleLogger: what the model answers while it learns, in words a person can read."""

import heapq
import json
import logging
import sys
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.batches import Sample, StepOutput
from lit_hf.callbacks.earlier_run import set_aside
from lit_hf.callbacks.local_run import check_local_run
from lit_hf.callbacks.rendering.grid import draw_grid, save_grid
from lit_hf.callbacks.rendering.loggers import log_image, log_samples
from lit_hf.callbacks.rendering.table import json_line, render, show
from lit_hf.callbacks.truncate_log import drop_later
from lit_hf.errors import InputError, at_least
from lit_hf.files.atomic import append_text
from lit_hf.metrics.gathered import over_processes
from lit_hf.modules.base import HFModule

log = logging.getLogger(__name__)
Batch = Mapping[str, object]
Rank = tuple[
    float, int, int
]  # a key, and minus the numbers of loader and row: the first is highest
Ranked = list[tuple[Rank, Sample]]
_warn_once = cache(log.warning)
_TITLES = {
    "train": "training examples",
    "fixed": "validation, the same examples each time",
    "worst": "validation, the largest losses",
}


class SampleLogger(Callback):
    """Shows input, prediction with probability, and truth.

    The input is the text as the user wrote it, as far as the model saw it.

    In training every so many steps, from the logits of the step itself; only a model that writes
    its answers writes them for the panel. At each validation a fixed panel of the same examples,
    with the predictions of before, and the examples of the largest loss. Goes to the console, to
    `samples.jsonl` in the run folder and to every logger that takes text (TensorBoard, W&B,
    MLflow). Images are drawn too, as the model saw them: a picture of each panel in the folder
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
        at_least(0, every_n_steps=every_n_steps, num_samples=num_samples, num_grids=num_grids)
        self.every_n_steps = every_n_steps
        self.num_samples = num_samples
        self.num_grids = num_grids
        self._recent: deque[tuple[Batch, StepOutput]] = deque()
        self._last_step = 0
        self._fixed: Ranked = []  # the smallest hashes of ids: the same examples every time
        self._worst: Ranked = []  # the largest losses
        self._before: dict[tuple[int, ...], str] = {}  # earlier predictions of the fixed panel
        self._num_rows = 0  # validated so far, where batches do not number their rows

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that cannot show an example."""
        if not self.num_samples or stage not in ("fit", "validate"):
            return
        check_local_run(trainer)
        if not isinstance(pl_module, HFModule):
            raise InputError(
                f"SampleLogger shows the examples of an `HFModule`, not {type(pl_module).__name__}."
            )
        self._before = {}

    # Training.

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from the step at which the training starts or resumes."""
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
            _warn_once("SampleLogger: `training_step` returns no step output to show.")
            return
        self._recent.append((batch, cast("StepOutput", outputs)))
        # Of small batches as many of the last as fill a panel.
        while sum(len(o["losses"]) for _, o in islice(self._recent, 1, None)) >= self.num_samples:
            self._recent.popleft()
        step = trainer.global_step
        if step == self._last_step or step % self.every_n_steps:
            return
        self._last_step = step
        samples: list[Sample] = []
        for recent, output in reversed(self._recent):
            num_rows = min(len(output["losses"]), self.num_samples - len(samples))
            samples += cast("HFModule", pl_module).samples(recent, output, range(num_rows))
        self._publish(trainer, "train", samples)

    # Validation.

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start new panels."""
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
        """Add the examples that belong in a panel."""
        if trainer.sanity_checking or not self.num_samples:
            return
        output = cast("StepOutput", outputs)
        first, self._num_rows = self._num_rows, self._num_rows + len(output["losses"])
        numbers = cast("Sequence[int]", batch.get("index") or range(first, self._num_rows))
        ids = cast("list[str]", batch.get("id") or [str(number) for number in numbers])
        is_copy = cast("torch.Tensor", batch.get("is_padding", torch.zeros(len(ids)))).tolist()
        hashes = [-float(zlib.crc32(name.encode(errors="replace"))) for name in ids]
        losses = output["losses"].nan_to_num(torch.inf, torch.inf).tolist()
        for panel, keys in ((self._fixed, hashes), (self._worst, losses)):
            ranks = {
                (key, -dataloader_idx, -numbers[row]): row
                for row, key in enumerate(keys)
                if not is_copy[row]
            }
            least = [panel[-1][0]] if len(panel) == self.num_samples else []
            new = [r for r in heapq.nlargest(self.num_samples, ranks) if all(r > x for x in least)]
            rows = [ranks[rank] for rank in new]
            samples = cast("HFModule", pl_module).samples(batch, output, rows)
            if rows and not samples:
                _warn_once("SampleLogger: the batches hold tokens only and no text to show.")
            panel += zip(new, samples, strict=False)
            panel.sort(key=lambda entry: entry[0], reverse=True)
            del panel[self.num_samples :]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join the panels of all processes and show them."""
        if trainer.sanity_checking or not self.num_samples:
            return
        fixed, worst = self._join(self._fixed), self._join(self._worst)
        if trainer.is_global_zero:
            before = [self._before.get(rank[1:]) for rank, _ in fixed]
            self._publish(trainer, "fixed", [sample for _, sample in fixed], before)
            self._publish(trainer, "worst", [sample for _, sample in worst])
            self._before = {rank[1:]: sample["prediction"] for rank, sample in fixed}

    def _join(self, panel: Ranked) -> Ranked:
        """The panel over all processes, highest rank first; every process must call it."""
        entries = chain(*over_processes(panel))
        return heapq.nlargest(self.num_samples, entries, key=lambda entry: entry[0])

    # Both.

    def _publish(
        self,
        trainer: Trainer,
        panel: str,
        samples: Sequence[Sample],
        before: Sequence[str | None] | None = None,
    ) -> None:
        """Write a panel to the console, `samples.jsonl`, a picture and the loggers."""
        if not samples:
            return
        title, before = _TITLES[panel], before or [None] * len(samples)
        step, epoch = trainer.global_step, trainer.current_epoch
        common: dict[str, object] = {"panel": panel, "step": None, "epoch": None}
        if trainer.state.fn == "fit":  # an evaluation takes no training step
            title = f"step {step} · epoch {epoch} · {title}"
            common |= {"step": step, "epoch": epoch}
        folder = Path(trainer.default_root_dir)
        text = render(title, samples, before, color=sys.stdout.isatty())
        grid = draw_grid(title, samples, before) if self.num_grids else None
        if grid is not None:
            mark = "validate" if common["step"] is None else f"{step:06}"
            common["image"] = save_grid(grid, folder, panel, mark, self.num_grids)
            text += f"\n   pictures: {folder / str(common['image'])}"
        show(trainer, text)
        rows = [{name: value for name, value in s.items() if name != "image"} for s in samples]
        append_text(folder / "samples.jsonl", "".join(json_line({**common, **r}) for r in rows))
        for logger in trainer.loggers:
            log_samples(logger, f"samples/{panel}", samples, step)
            if grid is not None:
                log_image(logger, f"samples/{panel}_grid", grid, step)
