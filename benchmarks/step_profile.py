"""Where the time of a step on the CPU goes, and how far that is from the floor.

    python -m benchmarks.step_profile --model FOLDER_OR_HUB_ID

A classifier in bfloat16 (autocast) learns random tokens with dropout 0.1, and then evaluates twice
as many rows, by default in batches as the tweets make them: as transformers has it, which is what
HF Trainer's best flags compute, and as lit_hf's callbacks leave it. Both are profiled in turn in
one process, and keep memory and kernels. Prints milliseconds a step by the kind of work, and the
floor: the operations of the step's matrix products at the rate of one large product after the
other. Writes step_profile.json.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.optim import AdamW
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSequenceClassification

from benchmarks.arguments import add_results, count, model_name, parser_of
from benchmarks.cpu_step import evaluate, train
from benchmarks.record import record
from benchmarks.speed.__main__ import matrix_rate
from lit_hf.speed.attention import apply_cpu_patches
from lit_hf.speed.callback import keep_kernels, keep_memory
from lit_hf.speed.prepacked_linear import can_pack, pack_linears
from lit_hf.speed.prune_last_layer import read_first_token

Step = Callable[[dict[str, Tensor]], None]
KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm"),
    "dropout": ("bernoulli_", "bitwise_and", "bitwise_right_shift_", "sub_", "random_", "div_"),
    "copies, casts, zeros": ("copy_", "fill_", "zero_"),
    "activation, softmax, norms": ("gelu", "gelu_backward", "_softmax", "_softmax_backward_data"),
    "optimizer": ("_fused_adamw_",),
    "clipping": ("linalg_vector_norm", "stack", "reciprocal"),
}
"""Operations of PyTorch by what they are for."""
_KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}


def kind_of(operation: str) -> str:
    """The kind of an operation."""
    name = operation.removeprefix("aten::")
    if "scaled_dot_product" in name or name == "mkldnn::_linear_pointwise":
        return "matrix products"
    if "layer_norm" in name:
        return "activation, softmax, norms"
    return _KIND_OF.get(name, "the rest")


def seconds_by_kind(step: Step, batches: list[dict[str, Tensor]]) -> dict[str, float]:
    """Seconds of a step by kind, and all of it as "step": means over some batches."""
    found: dict[str, float] = defaultdict(float)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        start = time.perf_counter()
        for batch in batches:
            step(batch)
        found["step"] = time.perf_counter() - start
    for event in profiled.key_averages():
        found[kind_of(event.key)] += event.self_cpu_time_total / 1e6
    named = sum(seconds for kind, seconds in found.items() if kind in KINDS)
    found["the rest"] = found["step"] - named  # with what Python takes
    return {kind: seconds / len(batches) for kind, seconds in found.items()}


def num_operations(step: Step, batch: dict[str, Tensor]) -> int:
    """Operations of the matrix products of a step."""
    with FlopCounterMode(display=False) as counter:
        step(batch)
    return int(counter.get_total_flops())


def profiled(
    steps: Mapping[str, Step], batches: list[dict[str, Tensor]], num_rounds: int
) -> tuple[dict[str, dict[str, float]], float]:
    """Milliseconds of a step of each by kind, in turn, and the rate of products meanwhile."""
    totals: dict[str, dict[str, float]] = {name: defaultdict(float) for name in steps}
    rate = 0.0
    for _ in track(range(num_rounds), "rounds"):
        rate += matrix_rate(torch.bfloat16, seconds=0.5) / num_rounds
        for name, step in steps.items():
            for kind, seconds in seconds_by_kind(step, batches).items():
                totals[name][kind] += 1000 * seconds / num_rounds
    return totals, rate


def batches_of(num_rows: int, length: int) -> list[dict[str, Tensor]]:
    """Three batches of random tokens."""
    batches = []
    for _ in range(3):
        ids = torch.randint(1000, 20000, (num_rows, length))
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        batches.append({**batch, "labels": torch.randint(0, 2, (num_rows,))})
    return batches


def main() -> None:
    """Profile, print the tables and write them."""
    parser = parser_of("benchmarks.step_profile", __doc__)
    parser.add_argument("--model", type=model_name, required=True, help="folder or Hub id")
    parser.add_argument("--rows", type=count, default=32, help="of a batch (%(default)s)")
    parser.add_argument("--length", type=count, default=34, help="tokens (%(default)s)")
    parser.add_argument("--rounds", type=count, default=10, help="of 3 steps (%(default)s)")
    add_results(parser)
    options = parser.parse_args()
    keep_memory()
    keep_kernels()
    plain, quick = (
        AutoModelForSequenceClassification.from_pretrained(options.model) for _ in range(2)
    )
    apply_cpu_patches(quick)
    read_first_token(quick)
    models = {"transformers": plain, "lit_hf": quick}
    summary: dict[str, object] = {"rows": options.rows, "length": options.length}
    for stage, num_rows in {"training": options.rows, "evaluation": 2 * options.rows}.items():
        batches = batches_of(num_rows, options.length)
        steps: dict[str, Step] = {}
        operations: dict[str, int] = {}
        for name, model in models.items():
            model.train(stage == "training")
            optimizer = AdamW(model.parameters(), lr=5e-5, fused=True)
            train_one = partial(train, optimizer, model)
            steps[name] = train_one if stage == "training" else partial(evaluate, model)
            operations[name] = num_operations(steps[name], batches[0])
        if stage == "evaluation" and can_pack():
            pack_linears(quick)
        for step in steps.values():
            seconds_by_kind(step, batches)  # what is made once
        totals, rate = profiled(steps, batches, options.rounds)
        floors = {name: 1000 * number / rate for name, number in operations.items()}
        table = Table(title=f"{stage}, {num_rows} x {options.length} tokens: milliseconds a step")
        for column in ("", *models):
            table.add_column(column, justify="right")
        for kind in ("step", *KINDS, "the rest"):
            if any(totals[name][kind] for name in models):
                table.add_row(kind, *(f"{totals[name][kind]:.0f}" for name in models))
        title = f"floor: products at {rate / 1e12:.2f} TFLOP/s"
        table.add_row(title, *(f"{floors[name]:.0f}" for name in models))
        Console(width=100).print(table)
        summary[stage] = {
            name: {**totals[name], "operations": operations[name], "floor": floors[name]}
            for name in models
        }
        summary[f"{stage}_matrix_tflops"] = rate / 1e12
    packages = ("torch", "transformers")
    print(f"wrote {record('step_profile', summary, packages=packages, folder=options.results)}")


if __name__ == "__main__":
    main()
