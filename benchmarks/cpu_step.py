"""What each part of CPUSpeed and FirstTokenOnly brings to a training step on the CPU.

    python -m benchmarks.cpu_step --model FOLDER_OR_HUB_ID

Times one thread by its CPU seconds, which other processes disturb little: a step of a classifier in
bfloat16 (autocast) with dropout 0.1, on random tokens of one length, and of a hundred lengths in
turn. Prints milliseconds a step for each shape, and writes `benchmarks/results/cpu_step.json`.
"""

import argparse
import statistics
import subprocess
import sys
import time

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn
from torch.optim import AdamW
from transformers import AutoModelForSequenceClassification

from benchmarks.record import record
from lit_hf.callbacks.cpu_speed import keep_kernels, keep_memory
from lit_hf.modules.cpu import hasten
from lit_hf.modules.first_token import read_first_token

SHAPES = {
    "32 x 32": (32, [32]),
    "32 x 64": (32, [64]),
    "16 x 128": (16, [128]),
    "8 x 384": (8, [384]),
    "8 x 20 to 119": (8, list(range(20, 120))),
}
VARIANTS = {
    "as PyTorch has it": "",
    "memory kept": "memory",
    "and kernels": "memory kernels",
    "and quick dropout, plain attention": "memory kernels quick",
    "and the first token only": "memory kernels quick first",
}


def step_seconds(model_name: str, parts: str, shape: str, num_steps: int) -> float:
    """CPU seconds of a step, the median of some; run in a process of its own."""
    rows, lengths = SHAPES[shape]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if "memory" in parts:
        keep_memory()
    if "kernels" in parts:
        keep_kernels()
    model = AutoModelForSequenceClassification.from_pretrained(model_name)
    model.train()
    if "quick" in parts:
        hasten(model)
    if "first" in parts:
        read_first_token(model)
    optimizer = AdamW(model.parameters(), lr=5e-5, fused=True)
    seconds = []
    for number in range(max(num_steps, len(lengths)) + max(2, len(lengths))):
        ids = torch.randint(1000, 20000, (rows, lengths[number % len(lengths)]))
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        inputs["labels"] = torch.randint(0, 2, (rows,))
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**inputs).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[max(2, len(lengths)) :])


def main() -> None:
    """Run each variant of each shape in a new process, print the table and write it."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", required=True, help="folder or Hub id of an encoder")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # what a new process is asked
    options = parser.parse_args()
    if options.one:
        parts, shape = options.one
        print(step_seconds(options.model, parts, shape, options.steps))
        return
    found: dict[str, dict[str, float]] = {}
    table = Table(title="milliseconds a training step, one thread")
    for column in ("rows x tokens", *VARIANTS):
        table.add_column(column, justify="right")
    for shape in track(SHAPES, "shapes"):
        times = {}
        for name, parts in VARIANTS.items():
            words = ["--model", options.model, "--steps", str(options.steps)]
            asked = [sys.executable, "-m", "benchmarks.cpu_step", *words, "--one", parts]
            done = subprocess.run([*asked, shape], capture_output=True, check=True, text=True)
            times[name] = 1000 * float(done.stdout.split()[-1])
        found[shape] = times
        plain = times["as PyTorch has it"]
        table.add_row(shape, *(f"{t:.0f}  (x {plain / t:.2f})" for t in times.values()))
    Console(width=130).print(table)
    record("cpu_step", {"milliseconds": found}, packages=("torch", "transformers"))


if __name__ == "__main__":
    main()
