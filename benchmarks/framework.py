"""What Lightning and lit_hf cost: a training step of the command beside a plain PyTorch one.

    python -m benchmarks.framework WORK FILE --model FOLDER_OR_HUB_ID

WORK is `tweets` (FILE: Kaggle's train.csv) or `squad` (FILE: SQuAD 1.1 as JSON). The command trains
with its recipe in bf16-mixed, logger, samples and all; after each of its steps the same step is
done by a plain loop, on a copy of the model and on the same batch, which the loop fetches for
itself. So both run at the same moment in the same process, which a busy machine does not spoil.
Prints the median and the quartiles of the ratios over all steps but the first ten, and writes
framework_WORK.json.
"""

import copy
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from benchmarks.arguments import add_results, count, existing_file, model_name, parser_of
from benchmarks.record import record
from benchmarks.speed.plain_loop import optimizer_of, step
from benchmarks.speed.work import RECIPES, WORKS, write_rows
from lit_hf import HFDataModule, HFModule
from lit_hf.cli.command import main as command

NUM_WARM = 10
SECONDS: list[tuple[float, float]] = []
"""Of each step: the command's and the plain one's."""


class Beside(Callback):
    """Does each step of a training once more, in a plain way, and notes what both took.

    Args:
        work: name of the work.
    """

    def __init__(self, work: str) -> None:
        self.work = work
        self._start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the model, and begin the same epoch."""
        self.model = copy.deepcopy(cast("HFModule", pl_module).model)
        self.optimizer = optimizer_of(self.model, WORKS[self.work].lr)
        self.data = cast("HFDataModule", trainer.datamodule)  # type: ignore[attr-defined]  # is set late
        loader = self.data.train_dataloader()
        self.batches = cast("Iterator[dict[str, Tensor]]", iter(loader))
        self.batch: dict[str, Tensor] | None = next(self.batches)  # while none is counted as done
        self._start = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: dict[str, Tensor],
        batch_idx: int,
    ) -> None:
        """Do the step once more."""
        middle = time.perf_counter()
        own = self.batch
        if own is None or not own["input_ids"].equal(batch["input_ids"]):
            raise RuntimeError("the plain loop has got another batch")
        step(WORKS[self.work], self.model, self.optimizer, own, self.data)
        self.batch = next(self.batches, None)
        end = time.perf_counter()
        SECONDS.append((middle - self._start, end - middle))
        self._start = time.perf_counter()


def main() -> None:
    """Train, print and write."""
    parser = parser_of("benchmarks.framework", __doc__)
    parser.add_argument("work", choices=["tweets", "squad"])
    parser.add_argument("file", type=existing_file, help="real rows: train.csv or SQuAD 1.1")
    parser.add_argument("--model", type=model_name, required=True, help="folder or Hub id")
    parser.add_argument("--train", type=count, help="training rows (3000) or questions (480)")
    add_results(parser)
    options = parser.parse_args()
    work = WORKS[options.work]
    num_train = options.train or {"tweets": 3000, "squad": 480}[options.work]
    if num_train < (fewest := (NUM_WARM + 2) * work.batch_size):
        parser.error(f"--train {num_train}: at least {fewest} are {NUM_WARM + 2} steps")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(options.work, options.file, folder, num_train, 100)
        code = command(
            (
                *("fit", "--config", str(RECIPES / work.recipe), "--model.model_name"),
                *(options.model, "--data.train_file", str(folder / work.train)),
                *("--data.val_file", str(folder / work.val), "--trainer.accelerator", "cpu"),
                *("--trainer.default_root_dir", str(folder / "run"), "--trainer.max_epochs", "1"),
                *("--trainer.precision", "bf16-mixed", "--import", "benchmarks.framework"),
                *("--trainer.callbacks+", "benchmarks.framework.Beside"),
                *("--trainer.callbacks.work", options.work),
            )
        )
    if code:
        raise SystemExit(f"lit-hf fit ended with {code}")
    ratios = [ours / plain for ours, plain in SECONDS[NUM_WARM:]]
    lowest, middle, highest = statistics.quantiles(ratios, n=4)
    print(
        f"{options.work}: {len(ratios)} steps, the command's takes {middle:.3f} times as long as "
        f"the plain one (quartiles {lowest:.3f} and {highest:.3f})"
    )
    found = {"steps": len(ratios), "median": middle, "quartiles": [lowest, highest]}
    name = f"framework_{options.work}"
    print(f"wrote {record(name, {'ratio': found}, folder=options.results)}")


if __name__ == "__main__":
    from benchmarks import framework  # the module whose class the command finds

    framework.main()
