import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch

from lit_hf import (
    ExportPretrained,
    HFModule,
    Predictor,
    SampleLogger,
    TextClassifier,
)
from lit_hf.modules.compiled import names_in, plain_model
from tests.tasks import Task
from tests.trainers import quiet_trainer


def test_names__follow_a_model_that_is_compiled_by_now(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, ["a", "b"])
    plain = module.model
    weights = {name: value + 1 for name, value in module.state_dict().items()}
    module.model = torch.compile(plain, backend="eager")  # type: ignore[assignment]  # a wrapper
    assert set(names_in(module, weights)) == set(module.state_dict())
    module.load_state_dict(weights)
    assert torch.equal(plain.get_parameter("classifier.bias"), weights["model.classifier.bias"])


def _wrapped(module: HFModule) -> HFModule:
    model = plain_model(module.model)  # what is wrapped is not wrapped once more
    module.model = cast("Any", torch.compile(model, backend="eager"))
    return module


def _in_place(module: HFModule) -> HFModule:
    module.model.compile(backend="eager")
    return module


def _module_in_place(module: HFModule) -> HFModule:
    module.compile(backend="eager")
    return module


def _module_wrapped(module: HFModule) -> HFModule:
    return cast("HFModule", torch.compile(module, backend="eager"))


def _fit(
    task: Task,
    module: HFModule,
    folder: Path,
    epochs: int,
    ckpt_path: Path | None = None,
) -> tuple[pl.Trainer, Path]:
    pl.seed_everything(0, verbose=False)
    data = task.data(batch_size=4, val_fraction=0)
    data.with_rows(train=task.rows(0, 8), val=task.rows(8, 4), predict=task.rows(8, 4))
    trainer = quiet_trainer(
        max_epochs=epochs,
        default_root_dir=folder,
        callbacks=[SampleLogger(every_n_steps=1, num_samples=1), ExportPretrained()],
    )
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
    trainer.save_checkpoint(path := folder / "last.ckpt")
    return trainer, path


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("compiled", [_wrapped, _in_place, _module_in_place, _module_wrapped])
def test_compiled_before_and_after_a_training__it_resumes_exports_and_predicts(
    compiled: Callable[[HFModule], HFModule], any_task: Task, tmp_path: Path
) -> None:
    def module() -> HFModule:
        pl.seed_everything(0, verbose=False)
        made = any_task.module(scheduler="constant")
        made.configure_model()  # with the same head each time
        return made

    _, first = _fit(any_task, compiled(module()), tmp_path / "first", 1)
    _, plain = _fit(any_task, module(), tmp_path / "plain", 2, first)
    wanted = torch.load(plain, weights_only=True)["state_dict"]
    assert set(torch.load(first, weights_only=True)["state_dict"]) == set(wanted)
    trainer, second = _fit(any_task, one := compiled(module()), tmp_path / "second", 2, first)
    found = torch.load(second, weights_only=True)["state_dict"]
    assert all(torch.allclose(found[n], w, rtol=1e-4, atol=1e-6) for n, w in wanted.items())
    assert (tmp_path / "second" / "samples.jsonl").stat().st_size
    assert Predictor.from_pretrained(tmp_path / "second" / "pretrained")
    answers = trainer.predict(one, trainer.datamodule)  # type: ignore[attr-defined]  # set by `fit`
    again = quiet_trainer(default_root_dir=tmp_path).predict(
        compiled(trainer.lightning_module),  # type: ignore[arg-type]  # trained, and compiled now
        trainer.datamodule,  # type: ignore[attr-defined]  # set by `fit`
    )
    assert answers
    assert [row["id"] for row in answers[0]] == [row["id"] for row in again[0]]  # type: ignore[index]  # answers


@pytest.mark.parametrize("compiled", [_module_in_place, _module_wrapped])
def test_copy__of_a_compiled_module_runs_its_own_weights(
    compiled: Callable[[HFModule], HFModule], any_task: Task, tmp_path: Path
) -> None:
    if any_task.name != "text":
        return
    module = compiled(any_task.module())
    trainer, _ = _fit(any_task, module, tmp_path, 1)
    other = copy.deepcopy(trainer.lightning_module)
    with torch.no_grad():
        for weight in other.parameters():
            weight.zero_()
    ids = torch.ones(1, 4, dtype=torch.int64)
    assert not other(ids).logits.any()
    assert trainer.lightning_module(ids).logits.any()
