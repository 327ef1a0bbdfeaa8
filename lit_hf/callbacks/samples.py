"""SampleLogger: what the model answers while it learns, in words a person can read."""

import heapq
import json
import logging
import sys
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

from lit_hf.batches import Sample, StepOutput
from lit_hf.callbacks.panels import log_samples, render, show
from lit_hf.errors import InputError
from lit_hf.modules.base import HFModule
from lit_hf.processors import load_tokenizer

log = logging.getLogger(__name__)
Batch = Mapping[str, object]
Ranked = list[tuple[float, str, Sample]]


class SampleLogger(Callback):
    """Shows decoded input, prediction with probability, and truth.

    In training every so many steps, from the logits of the step itself, with no second forward
    pass. At each validation a fixed panel of the same examples, with what the model said before,
    and the examples of the largest loss. Goes to the console, to `samples.jsonl` in the run folder
    and to every logger that takes text (TensorBoard, W&B, MLflow).

    On several devices the training panel shows examples of the first one; the validation panels
    are drawn from all.

    Args:
        every_n_steps: optimizer steps between two training panels; 0 shows panels at validation
            only.
        num_samples: examples in a panel; 0 shows nothing.

    Example:
        >>> SampleLogger(every_n_steps=20, num_samples=5).num_samples
        5
    """

    def __init__(self, every_n_steps: int = 50, num_samples: int = 10) -> None:
        for name, value in {"every_n_steps": every_n_steps, "num_samples": num_samples}.items():
            if value < 0:
                raise InputError(f"Expected `{name}` to be at least 0, but got {value}.")
        self.every_n_steps = every_n_steps
        self.num_samples = num_samples
        self._recent: deque[tuple[Batch, StepOutput]] = deque()
        self._last_step = 0
        self._fixed: Ranked = []  # the smallest hashes of ids: the same examples every time
        self._worst: Ranked = []  # the largest losses
        self._before: dict[str, str] = {}
        self._decode: Callable[[Sequence[int]], str] | None = None

    # Training.

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin counting where training begins or goes on."""
        self._last_step = trainer.global_step
        self._recent.clear()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Remember the batch; show a panel when its step has come."""
        if not (self.every_n_steps and self.num_samples and trainer.is_global_zero):
            return
        self._recent.append((batch, cast("StepOutput", outputs)))
        while self._num_recent() - len(self._recent[0][1]["losses"]) >= self.num_samples:
            self._recent.popleft()  # small batches: as many of the last as fill a panel
        step = trainer.global_step
        if step == self._last_step or step % self.every_n_steps:
            return
        self._last_step = step
        samples: list[Sample] = []
        for recent, output in self._recent:
            rows = range(min(len(output["losses"]), self.num_samples - len(samples)))
            samples += self._samples(trainer, pl_module, recent, output, rows)
        self._publish(trainer, "train", samples)

    def _num_recent(self) -> int:
        return sum(len(output["losses"]) for _, output in self._recent)

    # Validation.

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin new panels."""
        self._fixed, self._worst = [], []

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
        losses = output["losses"].tolist()
        ids = cast("list[str]", batch.get("id") or [f"{batch_idx}-{r}" for r in range(len(losses))])
        copies = batch.get("is_padding")
        copy = copies.tolist() if isinstance(copies, torch.Tensor) else [False] * len(losses)
        fixed = {row: -float(zlib.crc32(ids[row].encode())) for row in range(len(ids))}
        worst = dict(enumerate(losses))
        for panel, keys in ((self._fixed, fixed), (self._worst, worst)):
            rows = [row for row in keys if not copy[row] and self._enters(panel, keys[row])]
            shown = self._samples(trainer, pl_module, batch, output, rows)
            for row, sample in zip(rows, shown, strict=True):
                if self._enters(panel, keys[row]):
                    heapq.heappush(panel, (keys[row], sample["id"], sample))
                if len(panel) > self.num_samples:
                    heapq.heappop(panel)

    def _enters(self, panel: Ranked, key: float) -> bool:
        return key == key and (len(panel) < self.num_samples or key > panel[0][0])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join the panels of all processes and show them."""
        if trainer.sanity_checking or not self.num_samples:
            return
        fixed, worst = _gather(self._fixed), _gather(self._worst)
        if not trainer.is_global_zero:
            return
        for name, panel in (("fixed", fixed), ("worst", worst)):
            best = sorted(panel, key=lambda ranked: ranked[:2], reverse=True)[: self.num_samples]
            self._publish(trainer, name, [sample for _, _, sample in best])
        self._before = {sample["id"]: sample["prediction"] for _, _, sample in fixed}

    # Both.

    def _samples(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Batch,
        output: StepOutput,
        rows: Sequence[int],
    ) -> list[Sample]:
        if not rows:
            return []
        if not isinstance(pl_module, HFModule):
            raise InputError(
                f"SampleLogger asks the module how to show an example; {type(pl_module).__name__} "
                "is no `HFModule`."
            )
        if self._decode is None:
            self._decode = decoder(trainer, pl_module)
        return pl_module.samples(batch, output, rows, self._decode)

    def _publish(self, trainer: Trainer, panel: str, samples: Sequence[Sample]) -> None:
        if not samples:
            return
        step = trainer.global_step
        titles = {
            "train": "training examples, from this step's own logits",
            "fixed": "validation, the same examples each time",
            "worst": "validation, the largest losses",
        }
        title = titles[panel]
        if trainer.training or trainer.state.fn == "fit":
            title = f"step {step} · epoch {trainer.current_epoch} · {title}"
        before = self._before if panel == "fixed" else {}
        show(trainer, render(title, samples, before, color=sys.stdout.isatty()))
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "samples.jsonl").open("a", encoding="utf-8") as stream:
            for sample in samples:
                mark = {"panel": panel, "step": step, "epoch": trainer.current_epoch}
                line = json.dumps({**mark, **sample}, ensure_ascii=False)
                stream.write(line.encode("utf-8", "backslashreplace").decode() + "\n")
        for logger in trainer.loggers:
            log_samples(logger, f"samples/{panel}", samples, step)


def decoder(trainer: Trainer, module: HFModule) -> Callable[[Sequence[int]], str]:
    """Token ids to text, with " ‖ " between the two texts of a pair."""
    tokenizer = getattr(getattr(trainer, "datamodule", None), "processor", None)
    tokenizer = tokenizer or load_tokenizer(module.model_name)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}

    def decode(ids: Sequence[int]) -> str:
        parts: list[list[int]] = [[]]
        for token in ids:
            if token in special:
                parts.append([])
            else:
                parts[-1].append(token)
        texts = [
            tokenizer.decode(part, clean_up_tokenization_spaces=True) for part in parts if part
        ]
        return " ‖ ".join(str(text).strip() for text in texts)

    return decode


def _gather(panel: Ranked) -> Ranked:
    """The panels of all processes, joined; every process must call it."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return panel
    parts: list[Ranked] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, panel)
    return [ranked for part in parts for ranked in part]
