from typing import Any

import numpy as np
import torch

from lit_hf.modules.image_samples import LONGEST_SIDE, show_image, told_shares

CLASSES = ["cat", "dog", "ship"]
PREDICTIONS = ["cat", "ship", "dog"]


def _batch(size: int = 4, **more: Any) -> Any:  # noqa: ANN401 - an ImageBatch
    pixels = torch.arange(3 * 3 * size * size).reshape(3, 3, size, size) % 256
    return {
        "id": ["a", "b", "c"],
        "pixel_values": torch.zeros(3, 3, size, size),
        "pixels": pixels.to(torch.uint8),
        "labels": torch.tensor([0, 1, 1]),
        **more,
    }


def _show(batch: Any, row: int) -> Any:  # noqa: ANN401 - an ImageBatch; a picture may be missing
    return show_image(batch, row, PREDICTIONS[row], CLASSES)


def test_shown__are_the_pixels_of_a_row() -> None:
    batch = _batch()
    for row, truth, is_correct in ((2, "dog", True), (0, "cat", True), (1, "dog", False)):
        shown = _show(batch, row)
        assert shown["image"].dtype == np.uint8
        assert np.array_equal(shown["image"], batch["pixels"][row].permute(1, 2, 0).numpy())
        assert (shown["prediction"], shown["truth"]) == (PREDICTIONS[row], truth)
        assert shown["correct"] is is_correct


def test_samples__of_large_images_hold_small_ones() -> None:
    sample = _show(_batch(size=300), 1)
    assert sample["image"].shape == (LONGEST_SIDE, LONGEST_SIDE, 3)
    assert sample["input"] == "image, 300 x 300 pixels"


def test_samples__of_a_batch_without_bytes_hold_no_picture() -> None:
    batch = _batch()
    del batch["pixels"]
    sample = _show(batch, 0)
    assert "image" not in sample


def test_mixed_images__are_neither_right_nor_wrong() -> None:
    targets = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0], [0.2, 0.5, 0.3]])
    batch = _batch(targets=targets)
    samples = [_show(batch, row) for row in range(3)]
    assert [sample["truth"] for sample in samples] == [
        "cat 70% + dog 30%",
        "ship",  # mixed with one of its class, or not at all
        "dog 50% + ship 30% + cat 20%",
    ]
    assert [sample["correct"] for sample in samples] == [None, True, None]


def test_told_shares__leave_out_what_cannot_be_seen() -> None:
    assert told_shares(torch.tensor([0.998, 0.002]), ["cat", "dog"]) == ("cat", False)
