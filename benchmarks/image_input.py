"""Images a second from stored files to what the model reads, beside the HF image processor.

    python -m benchmarks.image_input PARQUET --model configs/image_classification/vit_32

Reads the images of a Parquet file (columns `img` and `label`, as the Hub has CIFAR-10) in batches
of 256 in this process, both ways in turn: the loader of `ImageClassificationDataModule` with what
the data module does where the model runs, and a torch DataLoader of rows that `datasets` decodes
and the model's image processor prepares. Once at 32 x 32, the images' own size, and once at
224 x 224. Prints images a second (median of the rounds), their ratio, and how far a pixel differs
in the normalised numbers that the model reads. The first epoch of ours, which checks and decodes
every image, and one with augmentation stand beside them.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.record import record
from lit_hf import CropAndFlip, ImageClassificationDataModule, TrivialAugment
from lit_hf.data.augmentation.basic import augment
from lit_hf.data.sources.cifar import CLASSES
from lit_hf.pretrained.image_processors import load_image_processor

if TYPE_CHECKING:
    from transformers import BaseImageProcessor

BATCH = 256


def ours(data: ImageClassificationDataModule, device: torch.device) -> Iterator[Tensor]:
    """The prepared batches of an epoch, [B, 3, H, W]."""
    for batch in cast("DataLoader[Any]", data.val_dataloader()):
        moved = data.transfer_batch_to_device(batch, device, 0)
        yield cast("Tensor", data.on_after_batch_transfer(moved, 0)["pixel_values"])


def augmented(data: ImageClassificationDataModule, device: torch.device) -> Iterator[Tensor]:
    """The same, each image moved, mirrored and changed by TrivialAugment."""
    for batch in cast("DataLoader[Any]", data.val_dataloader()):
        moved = data.transfer_batch_to_device(batch, device, 0)
        images = augment(moved["pixels"].float() / 255, (CropAndFlip(), TrivialAugment()))
        moved["pixels"] = (images * 255).round().to(torch.uint8)
        yield cast("Tensor", data.on_after_batch_transfer(moved, 0)["pixel_values"])


def theirs(
    rows: Dataset, processor: "BaseImageProcessor", size: int, device: torch.device
) -> Iterator[Tensor]:
    """The prepared batches of an epoch by the HF image processor, [B, 3, H, W]."""

    def prepare(columns: dict[str, Any]) -> dict[str, Any]:
        wanted = {"height": size, "width": size}
        return dict(processor(columns["img"], size=wanted, return_tensors="pt"))

    for batch in DataLoader(rows.with_transform(prepare), batch_size=BATCH):
        yield batch["pixel_values"].to(device)


def per_second(batches: Iterator[Tensor]) -> float:
    """Images a second of an epoch."""
    start, count = time.perf_counter(), 0
    for pixels in batches:
        count += len(pixels)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return count / (time.perf_counter() - start)


def compare(
    path: str, model: str, size: int, rounds: int, device: torch.device
) -> dict[str, float]:
    """Both ways at one size, in turn."""
    start = time.perf_counter()
    data = ImageClassificationDataModule(
        model,
        val_file=path,
        image_column="img",
        label_names=CLASSES,
        image_size=size,
        eval_batch_size=BATCH,
    )
    data.setup("validate")
    count = sum(len(pixels) for pixels in ours(data, device))
    first = count / (time.perf_counter() - start)
    rows = Dataset.from_parquet(path)
    processor = load_image_processor(model)
    speeds: dict[str, list[float]] = {"ours": [], "augmented": [], "theirs": []}
    for _ in range(rounds):
        speeds["ours"].append(per_second(ours(data, device)))
        speeds["theirs"].append(per_second(theirs(rows, processor, size, device)))
        speeds["augmented"].append(per_second(augmented(data, device)))
    pairs = zip(ours(data, device), theirs(rows, processor, size, device), strict=True)
    largest = max(float((one - other).abs().max()) for one, other in pairs)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    ratios = [one / other for one, other in zip(speeds["ours"], speeds["theirs"], strict=True)]
    return {
        "size": size,
        "images": count,
        "ours_first_epoch": first,
        "ours": medians["ours"],
        "ours_augmented": medians["augmented"],
        "hf_image_processor": medians["theirs"],
        "ratio": statistics.median(ratios),
        "largest_difference": largest,
    }


def main() -> None:
    """Measure both sizes, print a table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parquet", help="file with the columns `img` and `label`")
    parser.add_argument("--model", required=True, help="folder or Hub id of the model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    device = torch.device(options.device)
    found = []
    with tempfile.TemporaryDirectory() as cache:
        for size in (32, 224):
            os.environ["LIT_HF_CACHE"] = f"{cache}/{size}"
            found.append(compare(options.parquet, options.model, size, options.rounds, device))
    table = Table("", *(f"{row['size']} x {row['size']}" for row in found))
    for name in found[0]:
        table.add_row(name.replace("_", " "), *(f"{row[name]:,.5g}" for row in found))
    Console().print(table)
    where = torch.cuda.get_device_name() if device.type == "cuda" else ""
    summary = {"threads": torch.get_num_threads(), "sizes": found}
    packages = ("datasets", "pillow", "torch", "transformers")
    record(f"image_input_{device.type}", summary, where, packages)


if __name__ == "__main__":
    main()
