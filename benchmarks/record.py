"""Results of a benchmark on disk, with when, where and with what they were measured."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("lightning", "torch", "transformers")


def circumstances(machine: str = "", packages: Sequence[str] = PACKAGES) -> dict[str, object]:
    """Date, machine and versions.

    Args:
        machine: what it is measured on, where that is not the processor.
        packages: whose versions matter.
    """
    return {
        "date": date.today().isoformat(),
        "machine": machine or platform.processor() or platform.machine(),
        "versions": {name: version(name) for name in packages},
    }


def record(
    name: str,
    found: Mapping[str, object],
    machine: str = "",
    packages: Sequence[str] = PACKAGES,
) -> Path:
    """Write what was found, and the circumstances, to `benchmarks/results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({**circumstances(machine, packages), **found}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    return path
