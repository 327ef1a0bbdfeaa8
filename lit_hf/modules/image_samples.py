"""Images with their answers as a person reads them.

Letters: B images in a batch, H and W height and width that the model reads, C classes.
"""

from collections.abc import Sequence

from torch import Tensor

from lit_hf.batches import ImageBatch, Shown
from lit_hf.functional.pixels import thumbnail

LONGEST_SIDE = 160
"""Pixels that a shown picture has at most on a side."""


def show_image(batch: ImageBatch, row: int, prediction: str, names: Sequence[str]) -> Shown:
    """Show the image at a row of a batch: size, picture, prediction and truth.

    Args:
        batch: with labels; with `pixels` where there are pictures to show.
        row: which image.
        prediction: name of its class.
        names: the C class names.
    """
    height, width = batch["pixel_values"].shape[-2:]
    truth, is_mixed = _truth(batch, row, names)
    shown: Shown = {
        "input": f"image, {height} x {width} pixels",
        "prediction": prediction,
        "truth": truth,
        "correct": None if is_mixed else truth == prediction,
    }
    if "pixels" in batch:
        picture = thumbnail(batch["pixels"][row : row + 1], LONGEST_SIDE)[0].permute(1, 2, 0)
        shown["image"] = picture.cpu().numpy()
    return shown


def _truth(batch: ImageBatch, row: int, names: Sequence[str]) -> tuple[str, bool]:
    """The right class, or the classes of a mixed image; and whether it is mixed."""
    if "targets" not in batch:
        return names[int(batch["labels"][row])], False
    return told_shares(batch["targets"][row], names)


def told_shares(target: Tensor, names: Sequence[str]) -> tuple[str, bool]:
    """The classes that an image is mixed of, the largest share first, and whether it is mixed.

    Args:
        target: [C], shares that sum to 1.
        names: the C class names.

    >>> import torch
    >>> told_shares(torch.tensor([0.3, 0.0, 0.7]), ["dog", "ship", "cat"])
    ('cat 70% + dog 30%', True)
    >>> told_shares(torch.tensor([0.0, 1.0, 0.0]), ["dog", "ship", "cat"])
    ('ship', False)
    """
    shares, classes = target.float().cpu().topk(min(3, len(names)))
    seen = [(names[c], share) for c, share in zip(classes.tolist(), shares.tolist(), strict=True)]
    parts = [f"{name} {share:.0%}" for name, share in seen if share >= 0.005]
    return (" + ".join(parts), True) if len(parts) > 1 else (seen[0][0], False)
