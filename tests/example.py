"""The example of a task of one's own as tests take it: its module, rows, and a tiny model of it."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.tasks import Row, Task

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "token_classification.py"
ROWS = ROOT / "examples" / "ner.jsonl"


def load_example() -> ModuleType:
    """The module of the example, as `--import` names it."""
    if EXAMPLE.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[EXAMPLE.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[EXAMPLE.stem])
    return sys.modules[EXAMPLE.stem]


def example_rows() -> list[dict[str, Any]]:
    """All rows of the example."""
    return [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]


def example_task(model: str) -> Task:
    """The task of the example, as `task_of` gives those of the package."""
    example = load_example()

    def module(**settings: Any) -> Any:  # noqa: ANN401 - keyword arguments of its constructor
        names = example.TokenClassificationDataModule(model).label_names
        return example.TokenClassifier(model, label_names=names, **settings)

    def data(**settings: Any) -> Any:  # noqa: ANN401 - keyword arguments of its constructor
        return example.TokenClassificationDataModule(model, **settings)

    def rows(first: int, count: int) -> list[Row]:
        return [dict(row) for row in example_rows()[first : first + count]]

    return Task("tokens", model, module, data, rows)
