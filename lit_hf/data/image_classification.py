"""Images of any source to batches of bytes, and on the device to what the model reads.

Letters: B images, h and w their height and width, H and W those that the model reads.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from PIL import Image
from torch import Tensor, nn

from lit_hf.data.augmentation.basic import (
    CropAndFlip,
    ImageAugmentation,
    augment,
    seeded,
    with_numbers,
)
from lit_hf.data.augmentation.mix import ImageMixing, mix
from lit_hf.data.classification import ClassificationDataModule
from lit_hf.data.model_of_data import image_processor_of
from lit_hf.data.rows.decode_image import (
    decode,
    image_bytes,
    pixels_of_array,
    pixels_of_image,
)
from lit_hf.data.rows.image_columns import (
    table_of_images,
    under_names,
    with_file_stamps,
    with_folder,
)
from lit_hf.data.rows.images import ImageColumns, read_images
from lit_hf.data.rows.labels import (
    values_of,
)
from lit_hf.data.rows.report import RowSummary
from lit_hf.data.sampling.collating import Collate, collate_images
from lit_hf.data.sampling.encoded_rows import Columns
from lit_hf.data.shared_settings import FileSettings
from lit_hf.data.sources.image_folder import refuse_unclassed, table_of_files
from lit_hf.data.sources.resolve import Split
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError
from lit_hf.functional.differences import Fact
from lit_hf.functional.labels import checked_names
from lit_hf.functional.pixels import PixelSettings, fit, normalise
from lit_hf.functional.unpacking import Unpack
from lit_hf.pretrained.hf_objects import ProcessorSource
from lit_hf.pretrained.image_processors import pixel_settings, set_image_size

if TYPE_CHECKING:
    from transformers import BaseImageProcessor

log = logging.getLogger(__name__)


class ImageClassificationDataModule(ClassificationDataModule[ImageColumns]):
    """Images with one class each.

    Reads Parquet and data sets as the Hub has them, folders of images with a subfolder for each
    class, CSV and JSONL with paths, and images in memory (`with_rows`). Each image is checked.
    A batch travels as bytes, and on the device it is augmented (while training), resized and
    normalised by the numbers of the model's image processor.

    Args:
        model_name: Hub id or folder of a model with an image processor; or that processor.
        dataset: a local folder with a file or folder for each split, or with CIFAR-10's batches, or
            a Hub id; the files below go first.
        image_column: column of the image: a file's content, the Hub's object of `bytes` and `path`,
            or a path, which starts at the folder of the file that names it.
        label_column: column of the class.
        id_column: column of the images' names; where it is missing they are numbered from 0.
        label_names: names of the classes in order; without it those found in the training rows, as
            most of these write them, numbers by size and words by alphabet; without such rows those
            of a trained model.
        image_size: height and width that the model reads; without it those of its image processor.
        augmentations: change training images, one after another: `CropAndFlip`, `TrivialAugment`,
            `RandAugment`, `RandomErasing`, classes of `kornia.augmentation`, or yours; without it
            `CropAndFlip` alone, none in an empty list.
        mix_transforms: mix training images in pairs and their classes with them: `MixUp`,
            `CutMix`; of several one is drawn for each batch; without it none.
        settings: those of `HFDataModule`, but for columns of files without header and for lengths.
            `predict_file` may be an image, or a folder with its subfolders, too.

    Raises:
        InputError: when prepared, with a report of what is wrong with files, images or labels.
    """

    task = "image_classification"
    input_columns = ("image", "height", "width")

    def __init__(
        self,
        model_name: ProcessorSource,
        dataset: str | None = None,
        *,
        image_column: str = "image",
        label_column: str = "label",
        id_column: str = "id",
        label_names: list[str] | None = None,
        image_size: int | None = None,
        augmentations: list[ImageAugmentation | nn.Module] | None = None,
        mix_transforms: list[ImageMixing | nn.Module] | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 256,
        **settings: Unpack[FileSettings],
    ) -> None:
        super().__init__(
            model_name,
            dataset,
            checked_names(label_names, "single_label"),
            column_names=None,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            length_group_size=50,  # these three are of tokens, which images have none of
            max_tokens=None,
            pad_to_multiple_of=1,
            **settings,
        )
        if image_size is not None and image_size < 1:
            raise InputError(f"Expected `image_size` to be at least 1, but got {image_size}.")
        self.columns = ImageColumns(image_column, label_column, id_column, self.weight_column)
        self.image_size = image_size
        self.augmentations = [CropAndFlip()] if augmentations is None else augmentations
        self.mix_transforms = mix_transforms or []

    # What the model reads.

    @cached_property
    def processor(self) -> "BaseImageProcessor":
        """The image processor of the model, with the `image_size` that was asked for."""
        processor = image_processor_of(self.given, self.model_name)
        if self.image_size is not None:
            set_image_size(processor, self.image_size)
        return processor

    @cached_property
    def pixels(self) -> PixelSettings:
        """What is done with an image on the device."""
        return pixel_settings(self.processor)

    # Rows.

    def prepare_data(self) -> None:
        """Look at the image processor, which a folder of a model may lack, then at the rows."""
        _ = self.pixels
        super().prepare_data()

    def in_memory(self, name: str, rows: object) -> Table:
        """A table of rows that are given in memory, whose images may be Pillow's or arrays."""
        return table_of_images(name, rows, self.columns.image)

    def tables(self, split: Split) -> list[Table]:
        """The tables of a split; paths in a file start at its folder."""
        self.forget_changed()
        image, label = self.columns.image, str(self.columns.label)
        is_new, is_known = split not in self._tables, split != "predict"
        if is_new and not is_known and (table := table_of_files(self.files[split] or [])):
            self._tables[split] = [table]
        found = super().tables(split)
        for table in found if is_new and is_known else []:
            refuse_unclassed(table)
        named = [under_names(table, image, label) for table in found]
        return [with_folder(table, image) for table in named]

    def check_names(self, names: Sequence[str], table: str) -> None:
        """Refuse one class alone, as of images without subfolders."""
        if len(names) == 1:
            raise InputError(
                f"{table}: there is one class only ({names[0]!r}); expected are two or more, "
                "in a folder of images a subfolder for each. To train on these rows all the same "
                "list every class in `label_names`."
            )

    def read_rows(
        self, split: Split, tables: list[Table], columns: ImageColumns, listed: frozenset[str]
    ) -> tuple[Dataset, RowSummary]:
        """Read and check the images of a split."""
        tables = [with_file_stamps(table, columns.image) for table in tables]
        on_bad_row = "all" if split == "predict" else self.on_bad_row
        return read_images(tables, columns, on_bad_row, listed)

    def encode(self, split: Split) -> Dataset:
        """Check the images of a split and number their classes."""
        examples, summary = self.read(split)
        if (ids := self.label_numbers(split, summary)) is None:
            return examples
        labels = [ids[key] for key in values_of(examples, "label")]
        return examples.remove_columns("label").add_column("labels", labels)

    # Batches.

    def collator(self) -> Collate:
        """What does the same without the data module."""
        return partial(collate_images, settings=self.pixels)

    def on_after_batch_transfer(
        self, batch: Mapping[str, object], dataloader_idx: int
    ) -> dict[str, object]:
        """Make of the bytes what the model reads, where Lightning has put them.

        The bytes stay beside it as the model sees them, for whoever shows samples.
        """
        prepared = {name: value for name, value in batch.items() if name != "is_fitted"}
        images = cast("Tensor", batch["pixels"])
        if self.trainer is not None and self.trainer.training:
            images, more = self._augmented(images, batch, self.trainer.current_epoch)
            prepared |= more
        if not batch.get("is_fitted"):
            images = fit(images, self.pixels)
        return {**prepared, "pixels": images, "pixel_values": normalise(images, self.pixels)}

    def _augmented(
        self, pixels: Tensor, batch: Mapping[str, object], epoch: int
    ) -> tuple[Tensor, dict[str, object]]:
        """Training images as they are augmented and mixed, as bytes, with their `targets`.

        The random numbers are those of the rows of the batch in this epoch: they are the same in a
        resumed run and with any number of workers.
        """
        targets: dict[str, object] = {}
        if not (self.augmentations or self.mix_transforms):
            return pixels, targets
        images = pixels.float() / 255
        with seeded(pixels.device, self.seed, epoch, *cast("Sequence[int]", batch["index"])):
            images = augment(images, self.augmentations)
            if self.mix_transforms:
                labels = cast("Tensor", batch["labels"])
                classes = F.one_hot(labels, len(self.label_names or [])).float()
                images, targets["targets"] = mix(images, classes, self.mix_transforms)
        return images.mul(255).round().clamp(0, 255).to(torch.uint8), targets

    @classmethod
    def settings_in(cls, known: Mapping[str, object]) -> dict[str, Any]:
        """The image processor holds all of them."""
        return {}

    # Items of a Predictor.

    def is_item(self, items: object) -> bool:
        """Whether this is an image alone, no list of them."""
        if isinstance(items, np.ndarray | Tensor):
            return items.ndim < 4
        return isinstance(items, Path | Image.Image) or super().is_item(items)

    def read_item(self, item: object) -> Row:
        """The pixels of a path, a file's content, a Pillow image, an array or a tensor."""
        cell = item.get("image", item) if isinstance(item, Mapping) else item
        if isinstance(cell, Tensor):
            cell = cell.cpu().float().numpy() if cell.is_floating_point() else cell.cpu().numpy()
        if isinstance(cell, np.ndarray):
            pixels = pixels_of_array(cell, "image")
        elif isinstance(cell, Image.Image):
            pixels = pixels_of_image(cell, "image")
        else:
            cell = str(cell) if isinstance(cell, Path) else cell
            pixels = decode(image_bytes(cell, "image"), "image", item)
        height, width, _ = pixels.shape
        size = {"height": height, "width": width, "is_decoded": True}
        return {"image": pixels.tobytes(), **size}

    def encode_rows(self, columns: Columns) -> Columns:
        """Images as they are, which are resized on the device."""
        return columns

    def training_facts(self) -> dict[str, Fact]:
        """Augmentations and mix_transforms, with their numbers."""
        parts = {
            "data.augmentations": self.augmentations,
            "data.mix_transforms": self.mix_transforms,
        }
        return {name: with_numbers(part) for name, part in parts.items()}

    def describe(self) -> dict[str, object]:
        """Sources and counts, for the model card."""
        size = self.pixels.final_size
        inputs = {**self.known_inputs(), "image_size": size and list(size)}
        return {**super().describe(), "inputs": inputs}

    def save_processor(self, folder: Path) -> None:
        """Write the image processor, with the size that the model reads."""
        self.processor.save_pretrained(folder)
