"""Where the time of a training step on the CPU goes, and what each part of CPUSpeed brings.

    python -m benchmarks.cpu_step --model FOLDER_OR_HUB_ID

Times one thread by its CPU seconds, which other processes disturb little: a step of a classifier in
bfloat16 (autocast) with dropout 0.1, on random tokens. Prints milliseconds a step for each shape,
and writes `benchmarks/results/cpu_step.json`.
"""

import argparse
import statistics
import subprocess
import sys
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.optim import AdamW
from transformers import AutoModelForSequenceClassification

from benchmarks.record import record
from lit_hf.callbacks.cpu_speed import keep_memory
from lit_hf.modules.cpu import hasten

SHAPES = [(32, 32), (32, 64), (16, 128), (8, 384)]
VARIANTS = {
    "as PyTorch has it": "",
    "kept memory": "memory",
    "kept memory, quick dropout, plain attention": "memory quick",
}


def step_seconds(model_name: str, parts: str, rows: int, length: int, num_steps: int) -> float:
    """CPU seconds of a step, the median of some; run in a process of its own."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if "memory" in parts:
        keep_memory()
    model = AutoModelForSequenceClassification.from_pretrained(model_name)
    model.train()
    if "quick" in parts:
        hasten(model)
    optimizer = AdamW(model.parameters(), lr=5e-5, fused=True)
    ids = torch.randint(1000, 20000, (rows, length))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    inputs["labels"] = torch.randint(0, 2, (rows,))
    seconds = []
    for _ in range(num_steps + 2):
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**inputs).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[2:])


def main() -> None:
    """Run each variant of each shape in a new process, print the table and write it."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", required=True, help="folder or Hub id of an encoder")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # what a new process is asked
    options = parser.parse_args()
    if options.one:
        parts, rows, length = options.one
        print(step_seconds(options.model, parts, int(rows), int(length), options.steps))
        return
    found: dict[str, dict[str, float]] = {}
    table = Table(title="milliseconds a training step, one thread")
    for column in ("rows x tokens", *VARIANTS):
        table.add_column(column, justify="right")
    for rows, length in SHAPES:
        times = {}
        for name, parts in VARIANTS.items():
            words = ["--model", options.model, "--steps", str(options.steps)]
            asked = [sys.executable, "-m", "benchmarks.cpu_step", *words, "--one", parts]
            done = subprocess.run(
                [*asked, str(rows), str(length)], capture_output=True, check=True, text=True
            )
            times[name] = 1000 * float(done.stdout.split()[-1])
        found[f"{rows} x {length}"] = times
        plain = times["as PyTorch has it"]
        table.add_row(
            f"{rows} x {length}", *(f"{t:.0f}  (x {plain / t:.2f})" for t in times.values())
        )
    Console().print(table)
    record("cpu_step", {"milliseconds": found}, packages=("torch", "transformers"))


if __name__ == "__main__":
    main()
