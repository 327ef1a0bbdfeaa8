"""CIFAR10DataModule: the ten classes of CIFAR-10."""

from torch import nn

from lit_hf.data.augmentation.basic import ImageAugmentation
from lit_hf.data.augmentation.mix import ImageMixing
from lit_hf.data.image_classification import ImageClassificationDataModule
from lit_hf.data.shared_settings import BatchSettings, RowSettings
from lit_hf.data.sources.cifar import CLASSES
from lit_hf.functional.unpacking import Unpack
from lit_hf.pretrained.hf_objects import ProcessorSource


class CIFARSettings(RowSettings, BatchSettings, total=False):
    """What `CIFAR10DataModule` hands on."""

    val_fraction: float
    image_size: int | None
    augmentations: list[ImageAugmentation | nn.Module] | None
    mix_transforms: list[ImageMixing | nn.Module] | None


class CIFAR10DataModule(ImageClassificationDataModule):
    """CIFAR-10: 50,000 training and 10,000 test images of 32 x 32 pixels.

    Read as the Hub has it, with the columns `img` and `label`, or as its authors publish it, binary
    or for Python, unpacked or not. Validation images are set aside from the training images. For
    other columns use `ImageClassificationDataModule`.
    https://www.cs.toronto.edu/~kriz/cifar.html

    Args:
        model_name: Hub id or folder of the model whose image processor says what it reads; or an
            image processor.
        dataset: a folder with the Parquet files or with the authors' batches, their .tar.gz as it
            was downloaded, or a Hub id.
        settings: those of `ImageClassificationDataModule`, but for files, columns and classes.
    """

    def __init__(
        self,
        model_name: ProcessorSource,
        dataset: str | None = "uoft-cs/cifar10",
        **settings: Unpack[CIFARSettings],
    ) -> None:
        super().__init__(
            model_name,
            dataset,
            subset=None,
            train_file=None,
            val_file=None,
            test_file=None,
            image_column="img",
            label_column="label",
            id_column="id",
            label_names=CLASSES,
            **settings,
        )
