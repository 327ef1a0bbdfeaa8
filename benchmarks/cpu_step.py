"""What each part of CPUSpeed and PruneLastLayer brings to a step on the CPU.

    python -m benchmarks.cpu_step --model FOLDER_OR_HUB_ID

Times one thread by its CPU seconds, which other processes disturb little: a training step of a
classifier in bfloat16 (autocast) with dropout 0.1, and an evaluated batch, on random tokens of one
length, and of a hundred lengths in turn. Prints milliseconds a step for each shape, and writes
cpu_step_STAGE.json. All of it takes long; `--shapes "32 x 32" --stages training` is a part.
"""

import argparse
import statistics
import subprocess
import sys
import time
from functools import partial

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from transformers import AutoModelForSequenceClassification

from benchmarks.arguments import add_results, count, model_name, parser_of
from benchmarks.record import record
from lit_hf.speed.attention import apply_cpu_patches
from lit_hf.speed.callback import keep_kernels, keep_memory
from lit_hf.speed.prepacked_linear import can_pack, pack_linears
from lit_hf.speed.prune_last_layer import read_first_token

SHAPES = {
    "32 x 32": (32, [32]),
    "32 x 64": (32, [64]),
    "16 x 128": (16, [128]),
    "8 x 384": (8, [384]),
    "8 x 20 to 119": (8, list(range(20, 120))),
}
VARIANTS = {
    "training": {
        "as PyTorch has it": "",
        "memory kept": "memory",
        "and kernels": "memory kernels",
        "and quick dropout, plain attention": "memory kernels quick",
        "and the first token only": "memory kernels quick first",
    },
    "evaluation": {
        "as PyTorch has it": "",
        "memory and kernels kept": "memory kernels",
        "and plain attention": "memory kernels quick",
        "and the first token only": "memory kernels quick first",
        "and packed weights": "memory kernels quick first packed",
    },
}


def step_seconds(model_folder: str, stage: str, parts: str, shape: str, num_steps: int) -> float:
    """CPU seconds of a step, the median of some; run in a process of its own."""
    rows, lengths = SHAPES[shape]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if "memory" in parts:
        keep_memory()
    if "kernels" in parts:
        keep_kernels()
    model = AutoModelForSequenceClassification.from_pretrained(model_folder)
    if "quick" in parts:
        apply_cpu_patches(model)
    if "first" in parts:
        read_first_token(model)
    if "packed" in parts:
        pack_linears(model)
    optimizer = AdamW(model.parameters(), lr=5e-5, fused=True)
    step = partial(train, optimizer) if stage == "training" else evaluate
    model.train(stage == "training")
    seconds = []
    for number in range(max(num_steps, len(lengths)) + max(2, len(lengths))):
        ids = torch.randint(1000, 20000, (rows, lengths[number % len(lengths)]))
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        inputs["labels"] = torch.randint(0, 2, (rows,))
        start = time.process_time()
        step(model, inputs)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[max(2, len(lengths)) :])


def train(optimizer: Optimizer, model: nn.Module, inputs: dict[str, Tensor]) -> None:
    """One training step."""
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(**inputs).loss
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def evaluate(model: nn.Module, inputs: dict[str, Tensor]) -> None:
    """One evaluated batch."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        model(**inputs)


def main() -> None:
    """Run each variant of each shape in a new process, print the table and write it."""
    parser = parser_of("benchmarks.cpu_step", __doc__)
    parser.add_argument(
        "--model", type=model_name, required=True, help="folder or Hub id of an encoder"
    )
    parser.add_argument("--steps", type=count, default=10, help="of each (%(default)s)")
    stages, shapes = list(VARIANTS), list(SHAPES)
    parser.add_argument("--stages", nargs="+", choices=stages, default=stages, help="which (all)")
    parser.add_argument("--shapes", nargs="+", choices=shapes, default=shapes, help="which (all)")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # what a new process is asked
    add_results(parser)
    options = parser.parse_args()
    if options.one:
        stage, parts, shape = options.one
        print(step_seconds(options.model, stage, parts, shape, options.steps))
        return
    for stage in options.stages:
        found: dict[str, dict[str, float]] = {}
        table = Table(title=f"{stage}: milliseconds a step, one thread")
        variants = {k: v for k, v in VARIANTS[stage].items() if "packed" not in v or can_pack()}
        for column in ("rows x tokens", *variants):
            table.add_column(column, justify="right")
        for shape in track(options.shapes, stage):
            times = {}
            for name, parts in variants.items():
                words = ["--model", options.model, "--steps", str(options.steps)]
                asked = [sys.executable, "-m", "benchmarks.cpu_step", *words, "--one", stage, parts]
                done = subprocess.run([*asked, shape], stdout=subprocess.PIPE, text=True)
                if done.returncode:
                    raise SystemExit(done.returncode)  # it has told why
                times[name] = 1000 * float(done.stdout.split()[-1])
            found[shape] = times
            plain = times["as PyTorch has it"]
            table.add_row(shape, *(f"{t:.0f}  (x {plain / t:.2f})" for t in times.values()))
        Console(width=130).print(table)
        results = {"milliseconds": found}
        packages = ("torch", "transformers")
        record(f"cpu_step_{stage}", results, packages=packages, folder=options.results)


if __name__ == "__main__":
    main()
