from pathlib import Path
from typing import TYPE_CHECKING, cast

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from lit_hf import HFModule, Predictor
from lit_hf.modules.modes import evaluating
from lit_hf.pretrained.image_processors import load_image_processor
from lit_hf.pretrained.tokenizers import load_tokenizer
from tests.tasks import Task
from tests.trainers import quiet_trainer

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedTokenizerBase

    from lit_hf.data.items import Item


def test_evaluating__gives_each_part_its_own_mode_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Dropout())
    model[1].train(False)
    with evaluating(model):
        assert not any(part.training for part in model.modules())
    assert [part.training for part in model.modules()] == [True, True, False]


def _processor(folder: str) -> "PreTrainedTokenizerBase | BaseImageProcessor":
    is_image = (Path(folder) / "preprocessor_config.json").exists()
    return load_image_processor(folder) if is_image else load_tokenizer(folder)


class Asks(pl.Callback):
    """Asks the module that is being trained, as a person would to see how far it is."""

    def __init__(self, items: "list[Item]") -> None:
        self.items = items
        self.modes: list[bool] = []

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, HFModule)
        if self.items:
            predictor = Predictor(pl_module, _processor(pl_module.model_name))
            assert len(predictor(self.items)) == len(self.items)
        self.modes.append(pl_module.model.training)


def _weights(task: Task, items: "list[Item]") -> Tensor:
    pl.seed_everything(0, verbose=False)
    module, data = task.module(), task.data(batch_size=4, val_fraction=0)
    asks = Asks(items)
    trainer = quiet_trainer(max_epochs=1, enable_checkpointing=False, callbacks=[asks])
    trainer.fit(module, data.with_rows(train=task.rows(0, 12)))
    assert asks.modes == [True] * 3
    Predictor(module, _processor(task.model))
    assert not module.model.training
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def test_predictor__asked_in_a_training_changes_nothing_of_it(any_task: Task) -> None:
    row = any_task.rows(0, 1)[0]
    item = row.get("text") or row.get("image")
    items = [cast("Item", (row["question"], row["context"]) if item is None else item)]
    assert torch.equal(_weights(any_task, items), _weights(any_task, []))
