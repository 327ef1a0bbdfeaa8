import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lit_hf.modules.half_precision import report_half_precision
from tests.trainers import MakeTrainer

SECONDS = "lit_hf.modules.half_precision.seconds_of_product"
Take = Callable[[float], None]


@pytest.fixture
def halves_take(monkeypatch: pytest.MonkeyPatch) -> Take:
    """Sets how long a product in half precision takes; one in float32 takes a second."""

    def take(seconds: float) -> None:
        monkeypatch.setattr(SECONDS, lambda dtype: 1.0 if dtype == torch.float32 else seconds)

    return take


def _told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    name = "lit_hf.modules.half_precision"
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.name == name]


@pytest.mark.parametrize(
    ("precision", "name"),
    [("bf16-mixed", "bfloat16"), ("bf16-true", "bfloat16"), ("16-true", "float16")],
)
@pytest.mark.parametrize(
    ("seconds", "level", "message"),
    [
        (94.2, "WARNING", "takes about 94 times as long"),
        (0.125, "INFO", "is about 8 times as quick"),
    ],
)
def test_half_precision__is_told_to_be_slower_or_quicker(
    precision: Any,  # noqa: ANN401 - Lightning's literals
    name: str,
    seconds: float,
    level: str,
    message: str,
    make_trainer: MakeTrainer,
    halves_take: Take,
    caplog: pytest.LogCaptureFixture,
) -> None:
    halves_take(seconds)
    with caplog.at_level(logging.INFO, "lit_hf"):
        report_half_precision(make_trainer(precision=precision))
    ((found, told),) = _told(caplog)
    assert found == level
    assert f"`trainer.precision: {precision}`: on this CPU a product in {name} {message}" in told
    assert ("32-true` is quicker" in told) is (seconds > 1)
