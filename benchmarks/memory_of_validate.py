"""Peak memory of `validate` for few and for many questions: it should not grow with their number.

    python -m benchmarks.memory_of_validate SQUAD_JSON --model FOLDER_OR_HUB_ID

Scores 1,600 and 16,000 questions (those of the file, repeated), each in a fresh process, with a
narrow model built from the config, and prints the most memory that each held, read every 20
batches. Not counted are pages of the prepared rows, which the system maps from disk and takes back
when it needs room, and what the allocator keeps after tensors of many shapes (it is told to trim).
For Linux with glibc.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import lightning.pytorch as pl

from benchmarks.record import record
from lit_hf import ExtractiveQA, ExtractiveQADataModule
from lit_hf.data.sources.files import open_file

SIZES = (1_600, 16_000)


class Peak(pl.Callback):
    """Keeps the largest anonymous memory of this process, in MiB."""

    def __init__(self) -> None:
        self.mib = 0

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Read it from the kernel."""
        if batch_idx % 20:
            return
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        found = next(line for line in lines if line.startswith("RssAnon"))
        self.mib = max(self.mib, int(found.split()[1]) // 1024)


def validate(path: str, model: str) -> None:
    """Score the questions of a file and print the peak memory of this process."""
    data = ExtractiveQADataModule(model, val_file=path)
    narrow = {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 64}
    module = ExtractiveQA(
        model,
        pretrained=False,
        config_overrides={**narrow, "num_attention_heads": 2},
        no_answer_threshold=0.0,
    )
    peak = Peak()
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[peak]
    )
    trainer.validate(module, data, verbose=False)
    print(peak.mib)


def main() -> None:
    """Run both sizes and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("squad_json")
    parser.add_argument("--model", required=True, help="folder or Hub id of the encoder")
    parser.add_argument("--validate", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.validate:
        validate(options.squad_json, options.model)
        return
    rows = [dict(row) for _, row in open_file(options.squad_json).rows()]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            path = Path(folder) / f"{size}.jsonl"
            with path.open("w", encoding="utf-8") as out:
                for number in range(size):
                    row = {**rows[number % len(rows)], "id": str(number)}
                    out.write(json.dumps(row) + "\n")
            words = [str(path), "--model", options.model, "--validate"]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.memory_of_validate", *words],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            found[str(size)] = int(done.stdout.split()[-1])
            print(f"{size} questions: peak {found[str(size)]} MiB", flush=True)
    record("memory_of_validate", {"peak_mib": found})


if __name__ == "__main__":
    main()
