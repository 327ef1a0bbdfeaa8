from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import confusion_matrix
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


def test_loss__of_mixed_images_is_that_of_their_shares(tiny_vit: str) -> None:
    module = ImageClassifier(tiny_vit, NAMES, label_smoothing=0.2)
    batch: Any = {**_batch(), "is_padding": torch.zeros(6, dtype=torch.bool)}
    shares = torch.rand(6, 1)
    batch["targets"] = torch.cat([shares, 1 - shares], 1)
    output = module.step(batch, "train")
    smooth = batch["targets"] * 0.8 + 0.1
    wanted = -(smooth * output["logits"].log_softmax(1)).sum(1)
    assert torch.allclose(output["losses"], wanted, atol=1e-6)
    assert torch.allclose(output["loss"].detach(), wanted.mean(), atol=1e-6)


def test_names__are_those_of_the_data_and_go_into_the_config(
    tiny_vit: str, make_trainer: MakeTrainer
) -> None:
    module = ImageClassifier(tiny_vit)
    make_trainer(max_epochs=1).fit(module, _data(tiny_vit))
    assert module.label_names == NAMES
    assert module.model.config.id2label == dict(enumerate(NAMES))
    assert module.model.classifier.out_features == 2  # type: ignore[union-attr]  # a linear layer


def test_training__learns_what_can_be_learnt(tiny_vit: str, make_trainer: MakeTrainer) -> None:
    def adam(params: Any) -> torch.optim.Adam:  # noqa: ANN401 - parameters or groups
        return torch.optim.Adam(params, lr=1e-2)

    torch.manual_seed(0)
    module = ImageClassifier(tiny_vit, NAMES, optimizer=adam)
    trainer = make_trainer(max_epochs=15)
    trainer.fit(module, _data(tiny_vit))
    (scores,) = trainer.validate(module, _data(tiny_vit), verbose=False)
    assert (scores["val/accuracy"], scores["val/f1"], scores["val/num_examples"]) == (1, 1, 12)


def test_batch__straight_from_a_loader_is_told_what_it_lacks(tiny_vit: str) -> None:
    module, data = ImageClassifier(tiny_vit, NAMES), _data(tiny_vit)
    batch: Any = next(iter(data.train_dataloader()))
    expected = r"no `pixel_values` but pixels, is_fitted, labels.*by hand"
    with pytest.raises(InputError, match=expected):
        module(batch)
    assert module(data.on_after_batch_transfer(batch, 0)).logits.shape == (4, 2)


def test_padding_copies__count_in_nothing(tiny_vit: str) -> None:
    module = ImageClassifier(tiny_vit, NAMES)
    batch: Any = _batch()
    module.step(batch, "val")
    assert module.scores("val")["num_examples"] == 5
    assert [answer["id"] for answer in module.predict_step(batch, 0)] == [f"i{n}" for n in range(5)]


def test_samples__name_answer_and_truth(tiny_vit: str) -> None:
    module = ImageClassifier(tiny_vit, NAMES)
    batch: Any = _batch()
    output = module.step(batch, "val")
    shown = module.samples(batch, output, [3, 0])
    best = output["logits"].argmax(1)
    for sample, row in zip(shown, (3, 0), strict=True):
        assert (sample["id"], sample["truth"]) == (f"i{row}", NAMES[row % 2])
        assert sample["prediction"] == NAMES[int(best[row])]
        assert sample["correct"] is (int(best[row]) == row % 2)
        assert sample["loss"] == pytest.approx(float(output["losses"][row]))
    assert shown[0]["input"] == "image, 8 x 8 pixels"
    assert module.samples(batch, output, []) == []


def test_confusion_matrix__counts_each_image_once_and_is_forgotten_with_the_scores(
    tiny_vit: str,
) -> None:
    module = ImageClassifier(tiny_vit, NAMES)
    batch: Any = _batch()
    best = module.step(batch, "val")["logits"].argmax(1)[:5]
    module.step(batch, "val")
    matrix = module.confusion_matrix("val")
    assert matrix is not None
    assert matrix.tolist() == (2 * confusion_matrix(batch["labels"][:5], best)).tolist()
    module.reset_metrics("val")
    forgotten = module.confusion_matrix("val")
    assert forgotten is not None
    assert int(forgotten.sum()) == 0


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


def test_sizes__that_are_interpolated_are_told_once(
    tiny_vit: str, make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    for verb in ("fit", "validate", "test", "predict"):
        caplog.clear()
        act = getattr(make_trainer(max_epochs=2), verb)
        act(ImageClassifier(tiny_vit, NAMES), datamodule=_data(tiny_vit, image_size=12))
        assert caplog.text.count("interpolated to 12 x 12") == 1, verb


def test_model__of_grey_images_is_refused(tiny_vit: str) -> None:
    module = ImageClassifier(
        tiny_vit, NAMES, pretrained=False, config_overrides={"num_channels": 1}
    )
    with pytest.raises(InputError, match="`num_channels` is 1, but images come as red, green"):
        module.configure_model()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_smoothing": 1.0}, "`label_smoothing`"),
        ({"label_names": ["a", "a"]}, "`label_names` to be two names"),
    ],
)
def test_settings__that_cannot_be_are_refused(
    tiny_vit: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ImageClassifier(tiny_vit, **settings)


def test_classes__of_a_checkpoint_in_another_order_are_refused(
    tiny_vit: str, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(ImageClassifier(tiny_vit), _data(tiny_vit))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    other = _data(tiny_vit, label_names=NAMES[::-1])
    with pytest.raises(InputError, match="has the classes"):
        make_trainer(max_epochs=2).fit(
            ImageClassifier(tiny_vit), other, ckpt_path=tmp_path / "a.ckpt", weights_only=True
        )


def test_training__after_an_evaluation_of_the_same_module_counts_on(
    tiny_vit: str, make_trainer: MakeTrainer
) -> None:
    module, trainer = ImageClassifier(tiny_vit, NAMES), make_trainer(max_epochs=1)
    trainer.validate(module, _data(tiny_vit), verbose=False)
    trainer.fit(module, _data(tiny_vit))
    assert trainer.callback_metrics["val/num_examples"] == 12


def test_pixels__come_in_the_precision_of_the_model(tiny_vit: str) -> None:
    """A ViT would take others, a Swin or ConvNeXT would not."""
    module = ImageClassifier(tiny_vit, NAMES)
    module.configure_model()
    module.model.double()
    seen: list[torch.dtype] = []
    module.model.register_forward_pre_hook(
        lambda _, __, inputs: seen.append(inputs["pixel_values"].dtype), with_kwargs=True
    )
    module(_batch())
    assert seen == [torch.float64]


def test_shares__that_came_rounded_are_refused(tiny_vit: str) -> None:
    module = ImageClassifier(tiny_vit, NAMES)
    batch: Any = _batch()
    batch["targets"] = torch.full((6, 2), 0.3).bfloat16()
    with pytest.raises(InputError, match="rounded"):
        module.step(batch, "train")


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
