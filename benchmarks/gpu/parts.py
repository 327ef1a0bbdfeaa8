"""All that is measured: each work in each precision, and trainings that are killed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.gpu.budget import Part
from benchmarks.gpu.device import absent, accelerator
from benchmarks.gpu.kill import kill_and_resume
from benchmarks.gpu.scale import LARGE, Scale, write_model
from benchmarks.gpu.speed import WORKERS, compete, measure
from benchmarks.gpu.worker import Worker
from benchmarks.speed.setting import Setting

BF16, FP16 = "bf16-mixed", "16-mixed"
NAMES = (
    *(f"{work}:{BF16}" for work in LARGE.works),
    *(f"kill:tweets:{precision}" for precision in (BF16, FP16)),
    *(f"{work}:{FP16}" for work in LARGE.works),
    *(f"kill:images:{precision}" for precision in (BF16, FP16)),
)
ENCODERS = ("tweets", "squad")
MULTIPLE, VERBS = 8, ("fit", "validate")  # tensor cores take their products by eights


def variables_of(scale: Scale, home: Path) -> dict[str, str]:
    """What all that is measured finds in its environment: one GPU, no network, caches of its own.

    Args:
        scale: how large everything is.
        home: of all that is needed for a while.
    """
    return {
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0],
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "LIT_HF_CACHE": str(home / "cache"),
        "HF_DATASETS_CACHE": str(home / "datasets"),
        **scale.variables,
    }


def workers_of(variables: Mapping[str, str], home: Path) -> dict[str, Worker]:
    """Everybody that is timed, each in a process to come."""
    return {
        who: Worker(who, partial(compete, who), home / f"{who}.log", variables) for who in WORKERS
    }


def parts_of(
    only: Sequence[str],
    scale: Scale,
    model: str | None,
    workers: Mapping[str, Worker],
    variables: Mapping[str, str],
    home: Path,
) -> list[Part]:
    """The parts that are asked for, in the order of `NAMES`.

    Args:
        only: their names.
        scale: how large everything is.
        model: folder of a pretrained encoder.
        workers: see `workers_of`.
        variables: see `variables_of`.
        home: of all that is needed for a while.
    """
    works, models = dict(scale.works), {}
    for name, config in scale.configs.items():
        (folder := home / "models" / name).mkdir(parents=True)
        write_model(config, folder)
        models[name] = str(folder)
    for name in ENCODERS if model else ():
        models[name], works[name] = str(model), replace(works[name], is_pretrained=True)
    parts = []
    for name in NAMES:
        work, precision = name.removeprefix("kill:").split(":")
        setting = Setting(accelerator(), precision, scale.num_workers, MULTIPLE, VERBS)
        (folder := home / "parts" / name.replace(":", "_")).mkdir(parents=True)
        shared = (works[work], setting, models[work], folder)
        run = (
            partial(kill_and_resume, *shared, variables)
            if name.startswith("kill:")
            else partial(measure, *shared, scale, workers)
        )
        parts.append(Part(name, scale.least, absent(work, precision), run))
    return [part for part in parts if part.name in only]
