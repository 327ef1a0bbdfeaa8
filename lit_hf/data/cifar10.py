"""CIFAR10DataModule: the ten classes of CIFAR-10."""

from typing import Literal

from lit_hf.data.augmentation import ImageAugmentation
from lit_hf.data.cifar_batches import CLASSES
from lit_hf.data.image_classification import ImageClassificationDataModule
from lit_hf.data.mixing import ImageMixing


class CIFAR10DataModule(ImageClassificationDataModule):
    """CIFAR-10: 50,000 training and 10,000 test images of 32 x 32 pixels.

    Read as the Hub has it, with the columns `img` and `label`, or as its authors publish it, binary
    or for Python, unpacked or not. Validation images are set aside from the training images. For
    other columns use `ImageClassificationDataModule`.
    https://www.cs.toronto.edu/~kriz/cifar.html

    Args:
        model_name: Hub id or folder of the model whose image processor says what it reads.
        dataset: a folder with the Parquet files or with the authors' batches, their .tar.gz as it
            was downloaded, or a Hub id.
        predict_file: images to predict.
        image_size: height and width that the model reads; without it those of its image processor.
        augmentations: change training images, one after another: `CropAndFlip`, `TrivialAugment`,
            `RandAugment`, `RandomErasing`; without it `CropAndFlip` alone, none in an empty list.
        mixings: mix training images in pairs and their classes with them: `MixUp`, `CutMix`; of
            several one is drawn for each image; without it none.
        val_fraction: share of the training images set aside, by class; 0 trains without validation.
        batch_size: training images a batch on each device.
        eval_batch_size: images a batch when validating, testing and predicting.
        num_workers: processes that load batches; 0 loads in the training process.
        on_bad_row: "error" stops before training with a report, "skip" leaves bad rows out with
            the same report; images to predict are never left out.
        seed: seed of the validation split, of the order of the images and of their augmentation.
    """

    def __init__(
        self,
        model_name: str,
        dataset: str | None = "uoft-cs/cifar10",
        predict_file: str | list[str] | None = None,
        image_size: int | None = None,
        augmentations: list[ImageAugmentation] | None = None,
        mixings: list[ImageMixing] | None = None,
        val_fraction: float = 0.1,
        batch_size: int = 128,
        eval_batch_size: int = 256,
        num_workers: int = 0,
        on_bad_row: Literal["error", "skip"] = "error",
        seed: int = 0,
    ) -> None:
        super().__init__(
            model_name=model_name,
            dataset=dataset,
            predict_file=predict_file,
            image_column="img",
            label_names=CLASSES,
            image_size=image_size,
            augmentations=augmentations,
            mixings=mixings,
            val_fraction=val_fraction,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            on_bad_row=on_bad_row,
            seed=seed,
        )
