"""Results of a benchmark on disk, with when, where and with what they were measured."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("lightning", "torch", "transformers")


def widest() -> str:
    """The widest kind of products that the processor has, such as amx_bf16; else its family."""
    import torch  # not needed by those who only want a folder, or who measure in another Python

    able = torch.cpu.get_capabilities()
    kinds = ("amx_bf16", "avx512_bf16", "avx512_f", "avx2", "sve_bf16", "bf16")
    return next((kind for kind in kinds if able.get(kind)), platform.machine())


def processor() -> str:
    """Its name as it gives it, its cores and the widest kind of its products."""
    import torch

    able = torch.cpu.get_capabilities()
    name = able.get("cpu_name") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {widest()}"


def circumstances(machine: str = "", packages: Sequence[str] = PACKAGES) -> dict[str, object]:
    """Date, machine and versions.

    Args:
        machine: what it is measured on, where that is not the processor.
        packages: whose versions matter.
    """
    return {
        "date": date.today().isoformat(),
        "machine": machine or processor(),
        "versions": {name: version(name) for name in packages},
    }


def record(
    name: str,
    found: Mapping[str, object],
    machine: str = "",
    packages: Sequence[str] = PACKAGES,
    folder: Path = RESULTS,
) -> Path:
    """Write what was found, and the circumstances, to NAME.json in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    text = json.dumps({**circumstances(machine, packages), **found}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    return path
