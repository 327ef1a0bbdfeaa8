from pathlib import Path
from typing import TYPE_CHECKING

import lightning.pytorch as pl
from torch import nn

from lit_hf import HFModule, Predictor
from lit_hf.modules.modes import evaluating
from lit_hf.pretrained.image_processors import load_image_processor
from lit_hf.pretrained.tokenizers import load_tokenizer

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
