"""ImageClassifier: pixels to classes.

Letters: B images in a batch, H and W height and width that the model reads, C classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from torch import Tensor
from torch.optim import AdamW
from torchmetrics import Metric
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from lit_hf.batches import ImageBatch, Prediction, Shown
from lit_hf.errors import InputError
from lit_hf.functional.unpacking import Unpack
from lit_hf.metrics.classification import image_metrics
from lit_hf.modules.classification import Classifier
from lit_hf.modules.data_facts import DataFacts, Processor
from lit_hf.modules.image_sizes import check_size_of_data, options_of
from lit_hf.modules.losses import own_or_smoothed
from lit_hf.modules.optimizers import OptimizerCallable, SchedulerName
from lit_hf.modules.samples import show_image
from lit_hf.modules.shared_settings import SharedSettings
from lit_hf.modules.usage import Usage, image_usage
from lit_hf.pretrained.hf_objects import ModelSource
from lit_hf.pretrained.image_processors import load_image_processor, pixel_settings
from lit_hf.pretrained.label_names import names_of
from lit_hf.pretrained.models import Auto


class ImageSettings(SharedSettings, total=False):
    """What `ImageClassifier` hands on."""

    positive_label: str | None
    num_labels: int | None


class ImageClassifier(Classifier):
    """Classifies images (`AutoModelForImageClassification`: ViT, DeiT, Swin, ConvNeXT and others).

    Images of another size than the model was trained with go through where it has no position
    codes, as ConvNeXT, or interpolates them, as ViT; others are refused. The loss is cross entropy.

    Args:
        model_name: Hub id or folder of the model; or the model itself, or its config.
        label_names: names of the classes in order; without them those of the data or the model.
        label_smoothing: share of the target that goes to all classes alike, while training.
        settings: those of `HFModule`, `positive_label` and `num_labels`.

    Raises:
        InputError: when the model is loaded, if its trained classes are the same in another order.
    """

    task = "image_classification"
    auto_class: Auto = AutoModelForImageClassification
    model_kind = "one `…ForImageClassification`"
    input_names = ("pixel_values", "interpolate_pos_encoding")

    def __init__(
        self,
        model_name: ModelSource,
        label_names: list[str] | None = None,
        label_smoothing: float = 0.0,
        *,
        optimizer: OptimizerCallable = lambda params: AdamW(
            params, lr=5e-5, weight_decay=0.05, fused=True
        ),
        scheduler: SchedulerName = "cosine",
        **settings: Unpack[ImageSettings],
    ) -> None:
        super().__init__(
            model_name,
            label_names,
            "single_label",
            optimizer=optimizer,
            scheduler=scheduler,
            **settings,
        )
        self.loss = own_or_smoothed(self.loss, label_smoothing)
        self.label_smoothing = label_smoothing

    # The model.

    def on_fit_start(self) -> None:
        """Refuse images of a size that the model cannot read."""
        super().on_fit_start()
        check_size_of_data(self.trainer, self.model)

    def check_loaders(self, loaders: object) -> None:
        """Refuse such images in an evaluation too."""
        super().check_loaders(loaders)
        if self.trainer.state.fn != "fit":
            check_size_of_data(self.trainer, self.model)

    def complete_config(self, config: PreTrainedConfig) -> None:
        """Set number and names of the classes; refuse trained classes in another order.

        Raises:
            InputError: if they are, or if the model reads no images of three colours.
        """
        channels = getattr(config, "num_channels", 3)
        if channels != 3:
            raise InputError(
                f"the model's `num_channels` is {channels}, but images come as red, green and "
                "blue: 3 are expected."
            )
        if self._trainer is not None and self._trainer.state.fn != "fit":
            self.settings_in(config)
        config.problem_type = "single_label_classification"
        self.complete_classes(config)

    @classmethod
    def takes(cls, config: PreTrainedConfig) -> bool:
        """Whether it is a trained classifier of images."""
        return any(kind.endswith("ForImageClassification") for kind in config.architectures or [])

    def usage(self, inputs: Mapping[str, object], folder: Path) -> Usage:
        """How its export is used."""
        return image_usage(self.call_options(folder))

    @classmethod
    def settings_in(cls, config: PreTrainedConfig) -> dict[str, object]:
        """None: a trained model has to answer with one class for each image.

        Raises:
            InputError: if it was trained for any number of classes, or for a number.
        """
        problem = config.problem_type or ("regression" if config.num_labels == 1 else None)
        if problem not in (None, "single_label_classification"):
            raise InputError(
                f"the model {config.name_or_path!r} was trained for {problem.replace('_', ' ')}, "
                f"but {cls.__name__} gives one class for each image. Train it for such first."
            )
        return {}

    def load_processor(self, path: str, known: Mapping[str, object] | None) -> Processor:
        """The image processor beside a model."""
        return load_image_processor(path)

    def prepared_processor(self, processor: Processor) -> Processor:
        """The image processor as it is."""
        return processor

    def write_processor(self, folder: Path) -> None:
        """Write the image processor of the data, or of the base model."""
        known = DataFacts(self._trainer).processor
        (known or load_image_processor(self.model_name)).save_pretrained(folder)

    def finish_export(self, model: PreTrainedModel, folder: Path, literals: Sequence[str]) -> None:
        """Nothing is left to do: there is no tokenizer."""

    def call_options(self, folder: Path) -> dict[str, object]:
        """What the model needs beside images of the size that its processor gives."""
        try:
            size = pixel_settings(load_image_processor(str(folder))).final_size
        except InputError:  # one that does more, of a training on loaders of the user's own
            return {}
        return options_of(self.model, size) if size is not None else {}

    def configure_metrics(self) -> dict[str, Metric]:
        """Accuracy, F1 and top-5 accuracy."""
        return image_metrics(len(names_of(self.model.config)))

    def model_inputs(self, batch: Mapping[str, object]) -> dict[str, object]:
        """The pixels, [B, 3, H, W], and what the model needs beside them.

        Raises:
            InputError: for a batch that comes straight from a loader, as bytes alone.
        """
        if "pixel_values" not in batch:
            raise InputError(
                f"the batch holds no `pixel_values` but {', '.join(batch)}: prepare it by "
                "`batch = data.on_after_batch_transfer(batch, 0)`, as Lightning does."
            )
        pixels = cast("Tensor", batch["pixel_values"])
        height, width = pixels.shape[-2:]
        options = options_of(self.model, (height, width))
        return {"pixel_values": pixels.to(self.model.dtype), **options}

    # The contract.

    def show(self, batch: ImageBatch, row: int, prediction: Prediction) -> Shown:
        """Size, picture, answer and truth."""
        return show_image(batch, row, str(prediction["prediction"]), self.label_names or [])
