import logging
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForImageClassification,
    CLIPConfig,
    ConvNextConfig,
    Dinov2Config,
    PreTrainedModel,
    PvtConfig,
    SwinConfig,
    ViTConfig,
)

from lit_hf.errors import InputError
from lit_hf.modules.image_sizes import check_size, options_of, size_of

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 8,
    "patch_size": 4,
}


def _model(kind: str) -> PreTrainedModel:
    configs: dict[str, Any] = {
        "vit": lambda: ViTConfig(**SMALL),
        "dinov2": lambda: Dinov2Config(**{k: v for k, v in SMALL.items() if k[:5] != "inter"}),
        "convnext": lambda: ConvNextConfig(hidden_sizes=[8] * 4, depths=[1] * 4),
        "swin": lambda: SwinConfig(
            image_size=32, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=2
        ),
        "clip": lambda: CLIPConfig(vision_config=SMALL, text_config=dict(SMALL, vocab_size=9)),
        "pvt": lambda: PvtConfig(
            image_size=64,
            hidden_sizes=[8] * 4,
            depths=[1] * 4,
            num_attention_heads=[1] * 4,
            sequence_reduction_ratios=[1] * 4,
        ),
    }
    model = AutoModelForImageClassification.from_config(configs[kind]())  # type: ignore[no-untyped-call]  # has no types
    assert isinstance(model, PreTrainedModel)
    model.train(False)
    return model


@pytest.mark.parametrize(
    ("kind", "side", "is_told"),
    [
        ("vit", 8, False),
        ("vit", 16, True),
        ("dinov2", 16, True),
        ("convnext", 37, False),
        ("swin", 30, False),
        ("swin", 96, False),
    ],
)
def test_sizes__that_a_model_reads_go_through(
    kind: str, side: int, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model = _model(kind)
    with caplog.at_level(logging.WARNING, logger="lit_hf"):
        check_size(model, (side, side))
    assert (f"interpolated to {side} x {side}" in caplog.text) is is_told
    images: Any = torch.zeros(1, 3, side, side)
    assert model(images, **options_of(model, (side, side))).logits.shape == (1, 2)


@pytest.mark.parametrize(
    ("kind", "side", "message"),
    [
        ("vit", 7, "7 x 7 pixels cannot be cut into patches of 4"),
        ("dinov2", 10, "10 x 10 pixels cannot be cut into patches of 4"),
        ("clip", 12, r"cannot read images of 12 x 12 pixels \(its config says 8 x 8\): Input"),
        ("pvt", 12, "cannot read images of 12 x 12 pixels"),
        ("convnext", 2, "cannot read images of 2 x 2 pixels"),
    ],
)
def test_sizes__that_a_model_cannot_read_are_refused(kind: str, side: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_size(_model(kind), (side, side))


def test_sizes__are_tried_out_without_random_numbers_of_the_run() -> None:
    model = _model("clip")
    before = torch.get_rng_state()
    with pytest.raises(InputError):
        check_size(model, (12, 12))
    assert torch.equal(torch.get_rng_state(), before)


def test_size__is_that_of_the_part_that_sees() -> None:
    assert size_of(ViTConfig(image_size=(8, 12))) == (8, 12)
    assert size_of(_model("clip").config) == (8, 8)
