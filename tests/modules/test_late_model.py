import copy
import pickle
from collections.abc import Callable
from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelPruning, StochasticWeightAveraging
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary
from torch import nn
from torch.optim import AdamW

from lit_hf import HFModule, InputError, TextClassificationDataModule, TextClassifier
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


def test_module__that_is_printed_or_set_to_evaluate_makes_no_model(any_task: Task) -> None:
    module = any_task.module()
    assert "loaded when it is first used" in repr(module)
    module.eval()
    assert "model" not in module._modules
    assert not module.model.training
    assert "loaded when" not in repr(module)


def test_whoever_asks_for_the_weights__gets_all_of_them(any_task: Task) -> None:
    ready = any_task.module()
    wanted = [name for name, _ in ready.model.named_parameters(prefix="model")]
    optimizer = AdamW(any_task.module().parameters())
    assert len(optimizer.param_groups[0]["params"]) == len(wanted)
    assert set(wanted) <= set(any_task.module().state_dict())
    assert ModelSummary(any_task.module()).total_parameters == sum(
        weight.numel() for weight in ready.parameters()
    )
    assert any(isinstance(part, nn.Linear) for part in any_task.module().modules())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copy__before_the_model_is_there_has_the_same_weights(
    any_task: Task, copied: Callable[[HFModule], HFModule]
) -> None:
    module = any_task.module(pretrained=False)
    other = copied(module)
    weights = dict(other.model.named_parameters())
    assert weights
    assert all(torch.equal(weights[n], w) for n, w in module.model.named_parameters())
    assert not any(weights[n] is w for n, w in module.model.named_parameters())


def test_classes__that_the_data_knows_are_waited_for_unless_weights_are_asked_for(
    tiny_model: str,
) -> None:
    rows: list[dict[str, object]] = [{"text": f"t {n}", "label": "abc"[n % 3]} for n in range(9)]
    data = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(train=rows)
    fit = partial(quiet_trainer(max_epochs=1, enable_checkpointing=False).fit, datamodule=data)
    module = copy.deepcopy(TextClassifier(tiny_model).to("cpu").eval())
    assert "model" not in module._modules
    fit(module)
    assert module.label_names == ["a", "b", "c"]
    early = TextClassifier(tiny_model)
    assert list(early.parameters())
    with pytest.raises(InputError, match="label_names"):
        quiet_trainer(max_epochs=1, enable_checkpointing=False).fit(early, datamodule=data)


class _Averaging(StochasticWeightAveraging):
    """Keeps the averages that it puts into the module in the end."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.trained = [weight.detach().clone() for weight in pl_module.parameters()]
        super().on_train_end(trainer, pl_module)


def test_averages__are_of_the_weights(any_task: Task) -> None:
    module = any_task.module(scheduler="constant")
    data = any_task.data(batch_size=4, val_fraction=0).with_rows(train=any_task.rows(0, 8))
    averaging = _Averaging(swa_lrs=1e-2, swa_epoch_start=1)
    quiet_trainer(max_epochs=3, enable_checkpointing=False, callbacks=[averaging]).fit(module, data)
    found = list(module.parameters())
    assert len(found) == len(averaging.trained) > 10
    assert not all(torch.equal(a, b) for a, b in zip(found, averaging.trained, strict=True))


def test_pruning__takes_weights_away(any_task: Task) -> None:
    module = any_task.module()
    pruning = ModelPruning("l1_unstructured", amount=0.5)
    data = any_task.data(batch_size=4, val_fraction=0).with_rows(train=any_task.rows(0, 8))
    quiet_trainer(max_epochs=1, enable_checkpointing=False, callbacks=[pruning]).fit(module, data)
    weights = torch.cat([w.flatten() for n, w in module.named_parameters() if w.ndim >= 2])
    assert float((weights == 0).float().mean()) > 0.3
