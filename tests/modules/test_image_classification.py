from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForImageClassification

from lit_hf import ImageClassificationDataModule, ImageClassifier, InputError, Predictor
from lit_hf.batches import ImageBatch
from tests.images import NAMES, drawn
from tests.tiny_models import write_image_processor
from tests.trainers import MakeTrainer


def _batch(size: int = 8, count: int = 6) -> ImageBatch:
    generator = torch.Generator().manual_seed(0)
    return {
        "id": [f"i{n}" for n in range(count)],
        "index": list(range(count)),
        "is_padding": torch.tensor([False] * (count - 1) + [True]),
        "pixel_values": torch.randn(count, 3, size, size, generator=generator),
        "labels": torch.arange(count) % 2,
    }


def _data(model: str, **settings: Any) -> ImageClassificationDataModule:  # noqa: ANN401 - any of the class's
    rows = [{"image": drawn(n), "label": NAMES[n % 2]} for n in range(12)]
    data = ImageClassificationDataModule(model, batch_size=4, val_fraction=0, **settings)
    return data.with_rows(train=rows, val=rows, test=rows, predict=rows)


def test_loss__is_that_of_transformers_and_smoothed_in_training(tiny_vit: str) -> None:
    module = ImageClassifier(tiny_vit, NAMES, label_smoothing=0.2)
    module.configure_model()
    batch: Any = {**_batch(), "is_padding": torch.zeros(6, dtype=torch.bool)}
    output = module.model(pixel_values=batch["pixel_values"], labels=batch["labels"])
    assert torch.allclose(module.step(batch, "val")["loss"], output.loss)
    wanted = F.cross_entropy(output.logits, batch["labels"], label_smoothing=0.2)
    assert torch.allclose(module.step(batch, "train")["loss"], wanted)
    assert torch.allclose(module.step(batch, "train")["logits"], output.logits)


def test_names__are_those_of_the_data_and_go_into_the_config(
    tiny_vit: str, make_trainer: MakeTrainer
) -> None:
    module = ImageClassifier(tiny_vit)
    make_trainer(max_epochs=1).fit(module, _data(tiny_vit))
    assert module.label_names == NAMES
    assert module.model.config.id2label == dict(enumerate(NAMES))
    assert module.model.classifier.out_features == 2  # type: ignore[union-attr]  # a linear layer


def test_other_sizes__go_through_interpolated_position_codes(tiny_vit: str) -> None:
    module = ImageClassifier(tiny_vit, NAMES)
    module.train(False)
    larger = module(_batch(size=16)).logits
    wanted = module.model(
        pixel_values=_batch(size=16)["pixel_values"], interpolate_pos_encoding=True
    )
    assert torch.allclose(larger, wanted.logits)


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_sizes__that_cannot_be_read_are_refused_whatever_is_done(
    verb: str, tiny_vit: str, make_trainer: MakeTrainer
) -> None:
    act = getattr(make_trainer(max_steps=1), verb)
    with pytest.raises(InputError, match="7 x 7 pixels cannot be cut into patches of 4"):
        act(ImageClassifier(tiny_vit, NAMES), datamodule=_data(tiny_vit, image_size=7))


def test_model__of_grey_images_is_refused(tiny_vit: str) -> None:
    module = ImageClassifier(
        tiny_vit, NAMES, pretrained=False, config_overrides={"num_channels": 1}
    )
    with pytest.raises(InputError, match="`num_channels` is 1, but images come as red, green"):
        module.configure_model()


@pytest.mark.parametrize(
    "trained", [{"problem_type": "multi_label_classification"}, {"num_labels": 1}]
)
def test_model__of_another_problem_is_trained_anew_and_not_asked(
    trained: dict[str, Any], tiny_vit: str, tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    AutoModelForImageClassification.from_pretrained(tiny_vit, **trained).save_pretrained(tmp_path)
    write_image_processor(tmp_path, size=8)
    with pytest.raises(InputError, match="gives one class for each image"):
        make_trainer().predict(ImageClassifier(str(tmp_path)), _data(str(tmp_path)))
    with pytest.raises(InputError, match="gives one class for each image"):
        Predictor.from_pretrained(tmp_path)
    module = ImageClassifier(str(tmp_path))
    make_trainer(max_epochs=1).fit(module, _data(str(tmp_path)))
    assert module.model.config.problem_type == "single_label_classification"
