"""The settings that modules of all tasks share, as their classes hand them on to `HFModule`."""

from collections.abc import Mapping
from typing import TypedDict

from lit_hf.metrics.added import MetricLike
from lit_hf.modules.losses import LossFunction
from lit_hf.modules.optimizers import OptimizerCallable, SchedulerName
from lit_hf.pretrained.configs import ConfigValue


class SharedSettings(TypedDict, total=False):
    """Those whose default no task changes; `HFModule` says what they are."""

    pretrained: bool
    config_overrides: dict[str, ConfigValue] | None
    warmup_ratio: float | None
    loss: LossFunction | None
    metrics: Mapping[str, MetricLike] | None


class ScheduledSettings(SharedSettings, total=False):
    """The same for a task with an optimizer of its own."""

    scheduler: SchedulerName


class ModuleSettings(ScheduledSettings, total=False):
    """All settings of `HFModule` but for the model's name."""

    optimizer: OptimizerCallable
