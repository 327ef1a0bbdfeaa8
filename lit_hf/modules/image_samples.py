"""Images with their answers as a person reads them.

Letters: B images in a batch, H and W height and width that the model reads, C classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lit_hf.batches import ClassOutput, ImageBatch, Sample, marks_of
from lit_hf.functional.pixels import shrink
from lit_hf.modules.answers import tell_answers

LONGEST_SIDE = 160
"""Pixels that a shown picture has at most on a side."""


def show_images(
    batch: ImageBatch, output: ClassOutput, rows: Sequence[int], names: Sequence[str]
) -> list[Sample]:
    """Show the images at the given rows of a batch: name, picture, answer and truth.

    Args:
        batch: with labels; with `pixels` where there are pictures to show.
        output: what the step made of it.
        rows: which images.
        names: the C class names.
    """
    if not rows:
        return []
    height, width = batch["pixel_values"].shape[-2:]
    picked = torch.tensor(rows, dtype=torch.int64, device=output["logits"].device)
    answers = tell_answers({}, output["logits"][picked], "single_label", names)
    losses = output["losses"][picked].tolist()
    marks = marks_of(batch, len(output["logits"]))
    samples: list[Sample] = []
    for row, answer, loss in zip(rows, answers, losses, strict=True):
        truth, is_mixed = _truth(batch, row, names)
        said, probability = str(answer["prediction"]), answer["probability"]
        samples.append(
            {
                "id": marks[row][1],
                "input": f"image, {height} x {width} pixels",
                "prediction": said,
                "probability": probability if isinstance(probability, float) else None,
                "truth": truth,
                "correct": None if is_mixed else truth == said,
                "loss": loss,
            }
        )
    if "pixels" in batch:
        pictures = shrink(batch["pixels"][picked], LONGEST_SIDE).permute(0, 2, 3, 1)
        for sample, picture in zip(samples, pictures.cpu().numpy(), strict=True):
            sample["image"] = picture
    return samples


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

    >>> told_shares(torch.tensor([0.3, 0.0, 0.7]), ["dog", "ship", "cat"])
    ('cat 70% + dog 30%', True)
    >>> told_shares(torch.tensor([0.0, 1.0, 0.0]), ["dog", "ship", "cat"])
    ('ship', False)
    """
    shares, classes = target.float().cpu().topk(min(3, len(names)))
    seen = [(names[c], share) for c, share in zip(classes.tolist(), shares.tolist(), strict=True)]
    parts = [f"{name} {share:.0%}" for name, share in seen if share >= 0.005]
    return (" + ".join(parts), True) if len(parts) > 1 else (seen[0][0], False)
