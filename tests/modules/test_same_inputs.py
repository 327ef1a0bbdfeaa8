"""An evaluation whose rows become other inputs than in the training says which settings differ."""

from pathlib import Path
from typing import Any

import pytest

from lit_hf import HFDataModule
from lit_hf.callbacks.export import export_checkpoint
from lit_hf.modules.same_inputs import changed_inputs
from tests.tasks import TASKS, Task, task_of
from tests.trainers import quiet_trainer

TOLD = "the data makes inputs of its rows otherwise than the training has"
OTHER: dict[str, dict[str, Any]] = {
    "text": {"max_length": 12, "text_template": "so: {text}"},
    "image": {"image_size": 16},
    "extractive": {"max_length": 48, "doc_stride": 8},
    "generative": {"max_length": 48, "prompt": "{context} {question}"},
}


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest, tiny_model: str, tiny_t5: str, tiny_vit: str) -> Task:
    return task_of(request.param, tiny_model, tiny_t5, tiny_vit)


def _data(task: Task, **settings: object) -> HFDataModule:
    rows = {"train": task.rows(0, 4), "val": task.rows(4, 2), "test": task.rows(4, 2)}
    data = task.data(batch_size=4, val_fraction=0, **settings)
    return data.with_rows(**rows, predict=task.rows(4, 2))


def test_inputs__other_than_in_the_training_are_told(
    task: Task, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = quiet_trainer(max_epochs=1, limit_val_batches=0, enable_checkpointing=False)
    trainer.fit(module := task.module(), _data(task))
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    folder = str(export_checkpoint(path, tmp_path / "exported"))
    loaded = type(module).load_from_checkpoint(path, weights_only=True)
    others = OTHER[task.name]
    weights = {"ckpt_path": path, "weights_only": True}
    exported = task.module(model_name=folder)
    cases: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
        ("test", module, {}, others),  # which was trained here
        ("validate", loaded, {}, others),
        ("predict", task.module(), weights, others),
        ("test", exported, {}, others),
        ("test", exported, {}, {}),
    ]
    for verb, one, given, settings in cases:
        caplog.clear()
        getattr(quiet_trainer(), verb)(one, _data(task, **settings), **given)
        assert caplog.text.count(TOLD) == (1 if settings else 0), (verb, settings)
        assert all(f"`{name}` is" in caplog.text for name in settings)


@pytest.mark.parametrize(
    ("held", "own", "changes"),
    [
        ({"text_column": "a"}, {"text_column": "b"}, []),
        ({"pair_column": "a"}, {"pair_column": "b"}, []),
        ({"pair_column": None}, {"pair_column": "b"}, ["`pair_column` is 'b', was not set"]),
        ({"text_template": None}, {"text_template": "{text}"}, []),
        ({"text_template": "{a} {b}"}, {"text_template": "{b} {a}"}, ["`text_template` is"]),
        ({"text_template": "{a} {b}"}, {"text_template": "{c} {d}"}, []),
        ({"text_template": "{a} {b}"}, {"text_template": "{c}: {d}"}, ["`text_template` is"]),
        ({"no_answer_threshold": 0.5}, {"max_length": 64}, []),
        ({}, {"image_size": [8, 8]}, []),
    ],
)
def test_changes__of_what_a_model_reads(
    held: dict[str, object], own: dict[str, object], changes: list[str]
) -> None:
    found = changed_inputs(held, own)
    assert len(found) == len(changes)
    assert all(one.startswith(told) for one, told in zip(found, changes, strict=True))
