import copy
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.optim import AdamW
from torch.utils.data import DataLoader, Dataset

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
from lit_hf.batches import TextBatch

MakeBatch = Callable[..., TextBatch]
MakeTrainer = Callable[..., pl.Trainer]
NAMES = ["anger", "joy", "optimism"]


def _loader(batches: Sequence[TextBatch]) -> "DataLoader[TextBatch]":
    return DataLoader(cast("Dataset[TextBatch]", batches), batch_size=None)


def _logits(module: TextClassifier, batch: TextBatch) -> torch.Tensor:
    with torch.no_grad():
        return cast("torch.Tensor", module(batch).logits)


class Watch(Callback):
    """Writes down the modes of training and validation."""

    def __init__(self) -> None:
        self.modes: list[tuple[str, bool]] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        self.modes.append(("train", cast("TextClassifier", pl_module).model.training))

    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.modes.append(("val", cast("TextClassifier", pl_module).model.training))


# The model comes when it is touched.


def test_constructor__loads_nothing(tmp_path: Path) -> None:
    module = TextClassifier(str(tmp_path / "nowhere"), NAMES)
    assert "model" not in module._modules
    assert not hasattr(module, "nothing_of_this_name")
    with pytest.raises(InputError, match=r"nowhere.*no such folder"):
        _ = module.model


def test_model__is_loaded_once(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES)
    model = module.model
    module.configure_model()
    assert module.model is model


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))]
)
def test_module__is_copied_and_pickled(
    tiny_model: str,
    make_batch: MakeBatch,
    touched: bool,
    copied: Callable[[TextClassifier], TextClassifier],
) -> None:
    module = TextClassifier(tiny_model, NAMES).eval()
    if touched:
        _ = module.model
    other = copied(module)
    assert torch.equal(_logits(module, make_batch()), _logits(other, make_batch()))
    assert other.label_names == NAMES
    assert isinstance(other.optimizer(other.parameters()), AdamW)
    assert isinstance(module.optimizer(module.parameters()), AdamW)


# Overrides of the config.


def test_scratch__builds_the_overridden_config_with_random_weights(tiny_model: str) -> None:
    built = [
        TextClassifier(
            tiny_model, NAMES, pretrained=False, config_overrides={"num_hidden_layers": 1}
        )
        for _ in range(2)
    ]
    loaded = TextClassifier(tiny_model, NAMES)
    assert [module.model.config.num_hidden_layers for module in built] == [1, 1]
    key = "bert.embeddings.word_embeddings.weight"
    tables = [module.model.state_dict()[key] for module in (*built, loaded)]
    assert not torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])
    layers = {name.split(".")[3] for name in built[0].model.state_dict() if ".layer." in name}
    assert layers == {"0"}


# Modes.


def test_dropout__is_on_in_training_and_off_in_validation(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    watch = Watch()
    trainer = make_trainer(max_epochs=2, num_sanity_val_steps=1, callbacks=[watch])
    loader = _loader([make_batch()] * 2)
    trainer.fit(TextClassifier(tiny_model, NAMES), loader, loader)
    epoch = [("train", True)] * 2 + [("val", False)] * 2
    assert watch.modes == [("val", False), *epoch, *epoch]


# Monitors and logged numbers.


def test_scores__logged_are_those_of_one_validation_each(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    module = TextClassifier(tiny_model, NAMES)
    loader = _loader([make_batch(4), make_batch(3, seed=1)])
    trainer = make_trainer()
    first = trainer.validate(module, loader, verbose=False)
    again = trainer.validate(module, loader, verbose=False)
    assert first == again
    assert first[0]["val/num_examples"] == 7
    assert sorted(first[0]) == sorted(f"val/{name}" for name in module.metric_names())
    (tested,) = trainer.test(module, loader, verbose=False)
    assert {name.replace("test/", "val/"): v for name, v in tested.items()} == first[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="notebooks train in forked processes")
def test_notebook__has_the_weights_that_two_processes_have_trained(
    tiny_model: str, tmp_path: Path, make_trainer: MakeTrainer, tweet_rows: list[dict[str, object]]
) -> None:
    """Each of them makes its model; the notebook's own process had none so far."""
    module = TextClassifier(tiny_model, ["no", "yes"])
    data = TextClassificationDataModule(tiny_model, label_names=["no", "yes"], val_fraction=0)
    callbacks = [ModelCheckpoint(tmp_path, filename="trained")]
    trainer = make_trainer(
        devices=2,
        strategy="ddp_notebook",
        max_epochs=1,
        enable_checkpointing=True,
        callbacks=callbacks,
    )
    trainer.fit(module, data.with_rows(train=tweet_rows, val=tweet_rows))
    assert 0 <= float(trainer.callback_metrics["val/accuracy"]) <= 1
    trained = torch.load(tmp_path / "trained.ckpt", weights_only=True)["state_dict"]
    assert "model" in dict(module.named_children())
    for name, value in module.state_dict().items():
        assert torch.equal(trained[name], value)
