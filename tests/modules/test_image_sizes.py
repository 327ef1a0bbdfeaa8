import logging
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForImageClassification,
    ConvNextConfig,
    Dinov2Config,
    PreTrainedModel,
    SwinConfig,
    ViTConfig,
)

from lit_hf.errors import InputError
from lit_hf.modules.image_sizes import check_size, options_of, size_of
from lit_hf.pretrained.models import from_config

SMALL: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
PATCHES: dict[str, Any] = {**SMALL, "image_size": 8, "patch_size": 4}
TILES: dict[str, Any] = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 1], "window_size": 2}
CONFIGS: dict[str, Any] = {
    "vit": ViTConfig(**PATCHES, intermediate_size=16),
    "dinov2": Dinov2Config(**PATCHES),
    "convnext": ConvNextConfig(hidden_sizes=[8] * 4, depths=[1] * 4),
    "swin": SwinConfig(image_size=32, **TILES),
}


def _model(kind: str) -> PreTrainedModel:
    model = from_config(AutoModelForImageClassification, CONFIGS[kind])
    model.train(False)
    return model


@pytest.mark.parametrize(
    ("kind", "side", "warns"),
    [("vit", 8, 0), ("vit", 16, 1), ("dinov2", 16, 1), ("convnext", 37, 0), ("swin", 96, 0)],
)
def test_sizes__that_a_model_reads_go_through(
    kind: str, side: int, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model = _model(kind)
    with caplog.at_level(logging.WARNING, logger="lit_hf"):
        check_size(model, (side, side))
    assert ("interpolated" in caplog.text) == warns
    images: Any = torch.zeros(1, 3, side, side)
    assert model(images, **options_of(model, (side, side))).logits.shape == (1, 2)


@pytest.mark.parametrize(("kind", "side"), [("vit", 7), ("dinov2", 10)])
def test_sizes__that_would_be_cut_off_are_refused(kind: str, side: int) -> None:
    with pytest.raises(InputError, match=f"{side} x {side} pixels cannot be cut into patches of 4"):
        check_size(_model(kind), (side, side))
    assert size_of(ViTConfig(image_size=(8, 12))) == (8, 12)
