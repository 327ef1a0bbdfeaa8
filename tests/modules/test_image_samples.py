from typing import Any

import numpy as np
import pytest
import torch

from lit_hf.modules.image_samples import LONGEST_SIDE, show_images, told_shares

CLASSES = ["cat", "dog", "ship"]
LOGITS = torch.tensor([[4.0, 0.0, 0.0], [0.0, 0.0, 9.0], [0.0, 1.0, 0.0]])


def _batch(size: int = 4, **more: Any) -> Any:  # noqa: ANN401 - an ImageBatch
    pixels = torch.arange(3 * 3 * size * size).reshape(3, 3, size, size) % 256
    return {
        "id": ["a", "b", "c"],
        "pixel_values": torch.zeros(3, 3, size, size),
        "pixels": pixels.to(torch.uint8),
        "labels": torch.tensor([0, 1, 1]),
        **more,
    }


def _output() -> Any:  # noqa: ANN401 - a ClassOutput
    return {"loss": torch.tensor(0.5), "losses": torch.tensor([0.1, 0.2, 0.3]), "logits": LOGITS}


def test_samples__hold_the_pixels_of_their_rows() -> None:
    batch = _batch()
    samples = show_images(batch, _output(), [2, 0], CLASSES)
    for sample, row in zip(samples, (2, 0), strict=True):
        image = sample["image"]
        assert image.dtype == np.uint8
        assert np.array_equal(image, batch["pixels"][row].permute(1, 2, 0).numpy())
    assert [sample["id"] for sample in samples] == ["c", "a"]
    assert [sample["prediction"] for sample in samples] == ["dog", "cat"]
    assert [sample["truth"] for sample in samples] == ["dog", "cat"]
    assert samples[0]["loss"] == pytest.approx(0.3)
    assert samples[1]["probability"] == pytest.approx(float(LOGITS[0].softmax(0)[0]))
    (wrong,) = show_images(batch, _output(), [1], CLASSES)
    assert (wrong["prediction"], wrong["truth"], wrong["correct"]) == ("ship", "dog", False)


def test_samples__of_large_images_hold_small_ones() -> None:
    (sample,) = show_images(_batch(size=300), _output(), [1], CLASSES)
    assert sample["image"].shape == (LONGEST_SIDE, LONGEST_SIDE, 3)
    assert sample["input"] == "image, 300 x 300 pixels"


def test_samples__of_a_batch_without_bytes_hold_no_picture() -> None:
    batch = _batch()
    del batch["pixels"]
    (sample,) = show_images(batch, _output(), [0], CLASSES)
    assert "image" not in sample


def test_mixed_images__are_neither_right_nor_wrong() -> None:
    targets = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0], [0.2, 0.5, 0.3]])
    samples = show_images(_batch(targets=targets), _output(), [0, 1, 2], CLASSES)
    assert [sample["truth"] for sample in samples] == [
        "cat 70% + dog 30%",
        "ship",  # mixed with one of its class, or not at all
        "dog 50% + ship 30% + cat 20%",
    ]
    assert [sample["correct"] for sample in samples] == [None, True, None]


def test_told_shares__leave_out_what_cannot_be_seen() -> None:
    assert told_shares(torch.tensor([0.998, 0.002]), ["cat", "dog"]) == ("cat", False)
