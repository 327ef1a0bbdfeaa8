import logging

import pytest
import torch

from lit_hf import HFModule, TextClassifier
from tests.tasks import Task
from tests.trainers import quiet_trainer


def _train(task: Task, module: HFModule) -> None:
    data = task.data(batch_size=4, val_fraction=0).with_rows(train=task.rows(0, 8))
    quiet_trainer(max_epochs=1, enable_checkpointing=False).fit(module, data)


def test_weights__frozen_before_a_training_stay_as_they_are(any_task: Task) -> None:
    module = any_task.module()
    names = [name for name, _ in module.named_parameters()]
    assert len(names) > 10
    for name, weight in module.named_parameters():
        weight.requires_grad = name == names[-1]
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    _train(any_task, module)
    after = dict(module.named_parameters())
    changed = [name for name in names if not torch.equal(before[name], after[name])]
    assert changed == names[-1:]


def test_freeze__and_count_before_a_training(any_task: Task) -> None:
    module = any_task.module()
    module.freeze()
    assert not any(weight.requires_grad for weight in module.model.parameters())
    plain = sum(weight.numel() for weight in module.model.parameters())
    assert sum(weight.numel() for weight in any_task.module().parameters()) == plain


def test_weights__that_wait_for_the_data_are_told(
    tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    module = TextClassifier(tiny_model)
    with caplog.at_level(logging.WARNING):
        module.freeze()
    assert "`label_names`" in caplog.text
    assert list(module.parameters()) == []
    assert list(TextClassifier(tiny_model, problem_type="regression").parameters())
