"""The data makes the inputs that the weights have learnt: the same tokens, of the same rows."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lit_hf import HFDataModule, InputError
from lit_hf.callbacks.model_folder import export_checkpoint
from lit_hf.modules.input_checks import changed_inputs
from tests.tasks import Task, task_of
from tests.trainers import quiet_trainer

WARNING = "rows become other inputs than in the training"


@pytest.fixture
def task(tiny_model: str, tiny_t5: str, tiny_vit: str) -> Task:
    return task_of("text", tiny_model, tiny_t5, tiny_vit)


def _data(task: Task, model: str | None = None, **settings: object) -> HFDataModule:
    rows = {"train": task.rows(0, 4), "val": task.rows(4, 2), "test": task.rows(4, 2)}
    data = task.data(batch_size=4, val_fraction=0, **settings)
    data.model_name = model or task.model
    return data.with_rows(**rows, predict=task.rows(4, 2))


def test_tokenizer__that_gives_a_token_another_number_is_refused(
    task: Task, tmp_path: Path
) -> None:
    shutil.copytree(task.model, tmp_path / "other")
    file = tmp_path / "other" / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    first, second = list(vocabulary)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    file.write_text(json.dumps(content), encoding="utf-8")
    other, path = str(tmp_path / "other"), tmp_path / "a.ckpt"
    trainer = quiet_trainer(max_epochs=1, enable_checkpointing=False)
    with pytest.raises(InputError, match="2 tokens another number than that of model"):
        trainer.fit(task.module(), _data(task, other))
    trainer.fit(task.module(), _data(task))
    trainer.save_checkpoint(path)
    again = type(task.module()).load_from_checkpoint(path, weights_only=True)
    message = "2 tokens another number than that of"
    with pytest.raises(InputError, match=message):
        quiet_trainer().test(again, _data(task, other))
    with pytest.raises(InputError, match=message):
        quiet_trainer(max_epochs=2).fit(
            task.module(), _data(task, other), ckpt_path=path, weights_only=True
        )
    own = _data(task)  # a tokenizer that was changed on purpose
    own.processor = type(own.processor).from_pretrained(other)
    own.processor.name_or_path = "mine"
    quiet_trainer().test(again, own, verbose=False)


def test_inputs__other_than_in_the_training_are_named(
    task: Task, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = quiet_trainer(max_epochs=1, limit_val_batches=0, enable_checkpointing=False)
    trainer.fit(module := task.module(), _data(task))
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    exported = task.module(model_name=str(export_checkpoint(path, tmp_path / "exported")))
    weights = {"ckpt_path": path, "weights_only": True}
    others = {"max_length": 12, "text_template": "so: {text}"}
    cases: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
        ("test", module, {}, others),
        ("predict", task.module(), weights, others),
        ("test", exported, {}, others),
        ("test", exported, {}, {}),
    ]
    for verb, one, given, settings in cases:
        caplog.clear()
        getattr(quiet_trainer(), verb)(one, _data(task, **settings), **given)
        assert caplog.text.count(WARNING) == bool(settings), (verb, settings)
        assert all(f"`{name}` is" in caplog.text for name in settings)


@pytest.mark.parametrize(
    ("saved", "own", "num_changes"),
    [
        ({"text_column": "a"}, {"text_column": "b"}, 0),
        ({"pair_column": "a"}, {"pair_column": "b"}, 0),
        ({"pair_column": None}, {"pair_column": "b"}, 1),
        ({"text_template": None}, {"text_template": "{text}"}, 0),
        ({"text_template": "{a} {b}"}, {"text_template": "{b} {a}"}, 1),
        ({"text_template": "{a} {b}"}, {"text_template": "{c} {d}"}, 0),
        ({"text_template": "{a} {b}"}, {"text_template": "{c}: {d}"}, 1),
        ({"no_answer_threshold": 0.5}, {"max_length": 64}, 0),
    ],
)
def test_changes__are_those_of_what_the_model_reads(
    saved: dict[str, object], own: dict[str, object], num_changes: int
) -> None:
    assert len(changed_inputs(saved, own)) == num_changes
