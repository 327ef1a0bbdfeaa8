import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.modules.half_precision import report_half_precision, seconds_of_product
from tests.commands import RECIPE, TWEETS, run_command
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


def test_half_precision__of_a_plugin_and_what_lightning_makes_of_it(
    make_trainer: MakeTrainer, halves_take: Take, caplog: pytest.LogCaptureFixture
) -> None:
    halves_take(2.0)
    report_half_precision(
        make_trainer(plugins=MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu")))
    )
    with pytest.warns(UserWarning, match="fp16 is not supported on CPU"):
        report_half_precision(make_trainer(precision="16-mixed"))
    assert ["product in float16" in told for _, told in _told(caplog)] == [True, False]
    assert ["product in bfloat16" in told for _, told in _told(caplog)] == [False, True]


@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_other_precisions__are_not_timed(
    precision: Any,  # noqa: ANN401 - Lightning's literals
    make_trainer: MakeTrainer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SECONDS, lambda _: pytest.fail("timed"))
    report_half_precision(make_trainer(precision=precision))


def test_other_processes__are_not_timed(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SECONDS, lambda _: pytest.fail("timed"))
    trainer = make_trainer(precision="bf16-mixed")
    monkeypatch.setattr(type(trainer.strategy), "is_global_zero", False)
    report_half_precision(trainer)


@pytest.mark.parametrize(
    ("precision", "has_bfloat16", "is_told"),
    [
        ("bf16-mixed", False, True),
        ("bf16-true", False, True),
        ("bf16-mixed", True, False),
        ("16-true", False, False),
    ],
)
def test_gpu__that_emulates_bfloat16_is_told(
    precision: Any,  # noqa: ANN401 - Lightning's literals
    has_bfloat16: bool,
    is_told: bool,
    make_trainer: MakeTrainer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    trainer = make_trainer(precision=precision)
    monkeypatch.setattr(type(trainer.strategy), "root_device", torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    monkeypatch.setattr(SECONDS, lambda _: pytest.fail("timed"))
    report_half_precision(trainer)
    assert ["`trainer.precision: 16-mixed` is quicker" in told for _, told in _told(caplog)] == (
        [True] if is_told else []
    )


def test_every_verb__tells_in_a_bare_trainer(
    tiny_model: str,
    tweet_rows: list[dict[str, object]],
    make_trainer: MakeTrainer,
    halves_take: Take,
    caplog: pytest.LogCaptureFixture,
) -> None:
    halves_take(50.0)
    rows = dict.fromkeys(("train", "val", "test", "predict"), tweet_rows)
    data = TextClassificationDataModule(tiny_model, label_names=["no", "yes"]).with_rows(**rows)
    module = TextClassifier(tiny_model, ["no", "yes"])
    trainer: pl.Trainer = make_trainer(max_steps=1, precision="bf16-mixed")
    for verb in (trainer.fit, trainer.validate, trainer.test, trainer.predict):
        caplog.clear()
        verb(module, datamodule=data)
        assert len(_told(caplog)) == 1


def test_command__tells(tiny_model: str, tmp_path: Path, halves_take: Take) -> None:
    halves_take(50.0)
    done = run_command(
        *("fit", "--config", str(RECIPE), "--model.model_name", tiny_model),
        *("--data.train_file", str(TWEETS / "train.csv"), "--trainer.precision", "bf16-mixed"),
        *("--trainer.max_steps", "1", "--trainer.limit_val_batches", "1"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("takes about 50 times as long as one in float32") == 1


@pytest.mark.parametrize(("seconds", "num_products"), [(1.0, 5), (0.0011, 6), (1e-5, 21)])
def test_product__is_repeated_while_it_is_quick(
    seconds: float, num_products: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on with each product; nothing but the clock is changed."""
    products: list[torch.dtype] = []

    def counted(values: torch.Tensor, weight: torch.Tensor) -> None:
        products.append(values.dtype)
        assert torch.get_num_threads() == 1

    monkeypatch.setattr("lit_hf.modules.half_precision.linear", counted)
    monkeypatch.setattr("time.perf_counter", lambda: len(products) * seconds)
    before, num_threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    assert seconds_of_product(torch.bfloat16) == pytest.approx(seconds)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(num_threads)
    assert products == [torch.bfloat16] * num_products
    assert torch.equal(torch.get_rng_state(), before)
