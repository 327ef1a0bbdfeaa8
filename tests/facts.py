"""What a module learns of data, without a run."""

from types import SimpleNamespace
from typing import Any

from lit_hf.modules.data_facts import DataFacts


def facts_of(data: object) -> DataFacts:
    """The facts of a data module, as of a Trainer that has it."""
    trainer: Any = SimpleNamespace(datamodule=data)
    return DataFacts(trainer)
