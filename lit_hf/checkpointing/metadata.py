"""What a checkpoint has beside Lightning's content, so that it loads without any other file."""

import json
from collections.abc import Mapping
from typing import Any, Protocol, cast

from torch import Tensor
from transformers import PreTrainedConfig

from lit_hf import __version__
from lit_hf.functional.class_lookup import name_of
from lit_hf.functional.credentials import hide_arguments
from lit_hf.functional.given_settings import is_plain, refused_by


class TrainedModule(Protocol):
    """What a checkpoint says of the module that was trained."""

    task: str


def add_metadata(
    checkpoint: dict[str, object],
    module: TrainedModule,
    config: PreTrainedConfig,
    metrics: Mapping[str, Tensor],
    validated: int | None,
) -> None:
    """Add to a checkpoint what loads it without any other file, in plain types.

    Args:
        checkpoint: as Lightning has filled it.
        module: whose class reads it again.
        config: of the model, saved in full as the hyperparameter `config_overrides`.
        metrics: the latest that were logged.
        validated: the step whose weights the latest validation scored.
    """
    saved = cast("dict[str, Any]", checkpoint.get("hyper_parameters") or {})
    refused = refused_by(type(module), saved)  # Lightning would pass them all the same
    plain = {k: v for k, v in saved.items() if k not in refused and is_plain(v)}
    checkpoint["hyper_parameters"] = plain
    hide_arguments(checkpoint)
    given = cast("dict[str, Any]", checkpoint["hyper_parameters"])
    # A module that was loaded from a checkpoint has a complete config.
    is_loaded = "transformers_version" in (given.get("config_overrides") or {})
    checkpoint["hyper_parameters"] = {
        **given,
        "pretrained": False,
        "config_overrides": json.loads(config.to_json_string(use_diff=False)),
    }
    checkpoint["lit_hf"] = {
        **cast("dict[str, object]", checkpoint.get("lit_hf") or {}),
        "version": __version__,
        "task": module.task,
        "class": name_of(type(module)),
        "from_scratch": given.get("pretrained") is False and not is_loaded,
        "metrics": {name: float(value) for name, value in metrics.items()},
        "validated": validated,
    }
