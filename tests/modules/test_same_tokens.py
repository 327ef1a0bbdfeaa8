"""The tokens of the data have the numbers that the weights have learnt, or the data is refused."""

import json
import shutil
from pathlib import Path

import pytest

from lit_hf import HFDataModule, InputError
from tests.tasks import Task, task_of
from tests.trainers import quiet_trainer


@pytest.fixture(params=["text", "extractive", "generative"])
def task(request: pytest.FixtureRequest, tiny_model: str, tiny_t5: str, tiny_vit: str) -> Task:
    return task_of(request.param, tiny_model, tiny_t5, tiny_vit)


@pytest.fixture
def other(task: Task, tmp_path: Path) -> str:
    """The same model with as many tokens, of which two have changed their places."""
    folder = tmp_path / "other"
    shutil.copytree(task.model, folder)
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    if isinstance(vocabulary, list):  # of T5's kind: pairs of a token and its score
        vocabulary[-1][0], vocabulary[-2][0] = vocabulary[-2][0], vocabulary[-1][0]
    else:
        first, second = list(vocabulary)[-2:]
        vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    file.write_text(json.dumps(content), encoding="utf-8")
    return str(folder)


def _data(task: Task, model: str | None = None) -> HFDataModule:
    data = task.data(batch_size=4, val_fraction=0)
    data.model_name = model or task.model
    return data.with_rows(
        train=task.rows(0, 4), val=task.rows(4, 4), test=task.rows(4, 4), predict=task.rows(4, 4)
    )


def test_tokenizer__of_another_model_is_refused(task: Task, other: str, tmp_path: Path) -> None:
    trainer = quiet_trainer(max_epochs=1, enable_checkpointing=False)
    with pytest.raises(InputError, match="gives 2 tokens another number than that of model"):
        trainer.fit(task.module(), _data(task, other))
    trainer.fit(module := task.module(), _data(task))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again = type(module).load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    told = "2 tokens another number than that of the checkpoint"
    for verb in ("validate", "test", "predict"):
        with pytest.raises(InputError, match=told):
            getattr(quiet_trainer(), verb)(again, _data(task, other))
        with pytest.raises(InputError, match=told):
            getattr(quiet_trainer(), verb)(
                task.module(), _data(task, other), ckpt_path=tmp_path / "a.ckpt", weights_only=True
            )
    with pytest.raises(InputError, match=told):
        quiet_trainer(max_epochs=2).fit(
            task.module(), _data(task, other), ckpt_path=tmp_path / "a.ckpt", weights_only=True
        )
    quiet_trainer().test(again, _data(task), verbose=False)


def test_tokenizer__that_was_changed_on_purpose_is_taken(
    tiny_model: str, tiny_t5: str, tiny_vit: str, tmp_path: Path
) -> None:
    """Added tokens, an object of the user's own, a model that has learnt none yet."""
    task = task_of("text", tiny_model, tiny_t5, tiny_vit)
    longer = tmp_path / "longer"
    shutil.copytree(tiny_model, longer)
    processor = task.data().processor
    content = json.loads(processor.backend_tokenizer.to_str())
    processor.add_tokens(["[FLOOD]"])
    processor.save_pretrained(longer)
    config = json.loads((longer / "config.json").read_text()) | {"vocab_size": len(processor)}
    (longer / "config.json").write_text(json.dumps(config))
    module = task.module(config_overrides={"vocab_size": len(processor)}, pretrained=False)
    trainer = quiet_trainer(max_epochs=1, enable_checkpointing=False)
    trainer.fit(module, _data(task, str(longer)))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again = type(module).load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    quiet_trainer().test(again, _data(task), verbose=False)
    own, vocabulary = _data(task), content["model"]["vocab"]
    vocabulary["fire"], vocabulary["!"] = vocabulary["!"], vocabulary["fire"]
    backend = type(processor.backend_tokenizer).from_str(json.dumps(content))
    own.processor = type(processor)(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")
    quiet_trainer().test(again, own, verbose=False)
