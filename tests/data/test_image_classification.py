import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast, get_type_hints

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image
from lightning.pytorch.demos.boring_classes import BoringModel

from lit_hf import (
    CropAndFlip,
    CutMix,
    ImageClassificationDataModule,
    InputError,
    TrivialAugment,
)
from lit_hf.batches import ImageBatch
from lit_hf.data.augmentation.basic import augment, seeded
from lit_hf.data.augmentation.mix import mix
from lit_hf.functional.pixels import to_pixel_values
from tests.images import drawn, png, write_folder
from tests.trainers import quiet_trainer

Batch = dict[str, Any]


def _rows(count: int) -> list[dict[str, object]]:
    return [{"image": drawn(n), "label": n % 2, "id": f"i{n}"} for n in range(count)]


def _data(model: str, count: int = 12, **settings: Any) -> ImageClassificationDataModule:  # noqa: ANN401 - any of the class's
    sizes: dict[str, Any] = {"batch_size": 4, "val_fraction": 0, **settings}
    data = ImageClassificationDataModule(model, **sizes)
    return data.with_rows(train=_rows(count), val=_rows(count), predict=_rows(count))


def test_batch__travels_as_bytes_and_becomes_what_the_model_reads(tiny_vit: str) -> None:
    data = _data(tiny_vit)
    batch = cast("Batch", next(iter(data.val_dataloader())))
    assert batch["pixels"].dtype is torch.uint8
    assert np.array_equal(batch["pixels"][3].permute(1, 2, 0).numpy(), drawn(3))
    assert batch["labels"].tolist() == [n % 2 for n in range(12)]
    assert batch["id"] == [f"i{n}" for n in range(12)]
    moved = data.on_after_batch_transfer(batch, 0)
    assert torch.equal(cast("torch.Tensor", moved["pixels"]), batch["pixels"])
    assert moved.keys() == get_type_hints(ImageBatch).keys() - {"targets", "weight"}
    values = cast("torch.Tensor", moved["pixel_values"])
    wanted = (drawn(3)[2, 5] / 255 - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.3, 0.4])
    assert np.allclose(values[3, :, 2, 5].numpy(), wanted, atol=1e-5)
    assert "labels" not in cast("Batch", next(iter(data.predict_dataloader())))


def test_batch__of_several_sizes_is_cut_once(tiny_vit: str, tmp_path: Path) -> None:
    """Else the middle of a cut image would be cut again, in batches of several sizes alone."""
    shutil.copytree(tiny_vit, tmp_path / "model")
    said = {"image_processor_type": "CLIPImageProcessor", "crop_size": 8, "resample": 2}
    said |= {"size": {"shortest_edge": 12}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "model" / "preprocessor_config.json").write_text(json.dumps(said))
    images = [drawn(0, 8, 8), drawn(1, 9, 20), drawn(2, 12, 12)]
    data = ImageClassificationDataModule(str(tmp_path / "model"))
    data.with_rows(predict=[{"image": image} for image in images])
    batch = data.on_after_batch_transfer(cast("Batch", next(iter(data.predict_dataloader()))), 0)
    assert batch.keys() == {"id", "index", "is_padding", "pixels", "pixel_values"}
    found = cast("torch.Tensor", batch["pixel_values"])
    for place, number in enumerate(cast("list[int]", batch["index"])):
        image = torch.from_numpy(images[number]).permute(2, 0, 1)[None]
        assert torch.equal(found[place], to_pixel_values(image, data.pixels)[0])


def test_images__are_read_from_every_source(tiny_vit: str, tmp_path: Path) -> None:
    """A folder of classes, Parquet as the Hub has it, a CSV of paths, and `save_to_disk`."""
    folder = write_folder(tmp_path / "set" / "train", 6)
    write_folder(tmp_path / "set" / "test", 2)
    (tmp_path / "a.csv").write_text(
        "image,label\n"
        + "".join(
            f"set/train/{('dark', 'light')[n % 2]}/{n:02}.png,{('dark', 'light')[n % 2]}\n"
            for n in range(6)
        )
    )
    features = Features({"image": Image(), "label": ClassLabel(names=["dark", "light"])})
    rows = {
        "image": [{"bytes": png(n), "path": None} for n in range(6)],
        "label": [n % 2 for n in range(6)],
    }
    hub = Dataset.from_dict(rows, features=features)
    hub.to_parquet(tmp_path / "a.parquet")
    hub.save_to_disk(tmp_path / "disk")
    sources: list[dict[str, Any]] = [
        {"train_file": str(folder)},
        {"dataset": str(tmp_path / "set")},
        {"train_file": str(tmp_path / "a.csv")},
        {"train_file": str(tmp_path / "a.parquet")},
        {"dataset": str(tmp_path / "disk")},
    ]
    modules = [ImageClassificationDataModule(tiny_vit, val_fraction=0, **s) for s in sources]
    modules.append(ImageClassificationDataModule(tiny_vit, val_fraction=0).with_rows(train=hub))
    for data, source in zip(modules, [*sources, {"with_rows": "a Dataset"}], strict=True):
        data.setup("fit")
        assert data.label_names == ["dark", "light"], source
        part = data.splits["train"]
        found = {
            bytes(image): label for image, label in zip(part["image"], part["labels"], strict=True)
        }
        assert found == {drawn(n).tobytes(): n % 2 for n in range(6)}, source


def test_size__that_is_asked_for_goes_to_the_device_and_to_the_export(
    tiny_vit: str, tmp_path: Path
) -> None:
    data = _data(tiny_vit, image_size=12)
    batch = data.on_after_batch_transfer(cast("Batch", next(iter(data.val_dataloader()))), 0)
    assert cast("torch.Tensor", batch["pixel_values"]).shape == (12, 3, 12, 12)
    assert cast("torch.Tensor", batch["pixels"]).shape == (12, 3, 12, 12)  # as the model sees them
    data.save_processor(tmp_path)
    again = ImageClassificationDataModule(str(tmp_path))
    assert again.pixels == data.pixels
    assert data.pixels.final_size == (12, 12)


def _mixed_rows() -> list[dict[str, object]]:
    """Images of which some are kept decoded and some as files."""
    sizes = [(100, 120), (8, 8), (200, 97), (96, 96), (1, 1), (97, 97)]
    return [{"image": png(n, *size), "label": n % 2, "id": f"i{n}"} for n, size in enumerate(sizes)]


def test_large_images__of_any_size_are_opened_by_workers_as_without(tiny_vit: str) -> None:
    batches = []
    for num_workers in (0, 2):
        data = ImageClassificationDataModule(
            tiny_vit, eval_batch_size=4, num_workers=num_workers, val_fraction=0
        ).with_rows(val=_mixed_rows(), train=_mixed_rows())
        assert data.rows("val")["is_decoded"] == [False, True, False, True, True, False]
        batches.append([cast("Batch", batch) for batch in data.val_dataloader()])
    for alone, by_workers in zip(*batches, strict=True):
        assert alone["id"] == by_workers["id"]
        assert torch.equal(alone["pixels"], by_workers["pixels"])
    assert torch.cat([batch["pixels"] for batch in batches[1]]).shape == (6, 3, 8, 8)


class _Collect(BoringModel):
    """Keeps the images of each training and validation batch by their ids."""

    def __init__(self) -> None:
        super().__init__()
        self.train_seen: dict[tuple[int, str], torch.Tensor] = {}
        self.val_seen: dict[str, torch.Tensor] = {}
        self.targets: dict[tuple[int, str], torch.Tensor] = {}
        self.pixels: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:  # noqa: ANN401 - a batch
        self.pixels.append(batch["pixels"])
        self.values.append(batch["pixel_values"])
        for name, image in zip(batch["id"], batch["pixel_values"], strict=True):
            self.train_seen[self.current_epoch, name] = image
        for name, target in zip(batch["id"], batch.get("targets", []), strict=False):
            self.targets[self.current_epoch, name] = target
        return cast("torch.Tensor", self.layer(torch.ones(1, 32)).sum())

    def validation_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 - a batch
        assert "targets" not in batch
        self.val_seen.update(zip(batch["id"], batch["pixel_values"], strict=True))


def _collected(model: str, folder: Path, **settings: Any) -> _Collect:  # noqa: ANN401 - any of the class's
    module = _Collect()
    trainer = quiet_trainer(max_epochs=2, enable_checkpointing=False, default_root_dir=folder)
    trainer.fit(module, datamodule=_data(model, **settings))
    return module


def test_training_images__change_with_the_epoch_and_others_never(
    tiny_vit: str, tmp_path: Path
) -> None:
    module = _collected(tiny_vit, tmp_path)
    plain = torch.from_numpy(np.stack([drawn(n) for n in range(12)])).permute(0, 3, 1, 2)
    values = to_pixel_values(plain, _data(tiny_vit).pixels)
    for number in range(12):
        name = f"i{number}"
        assert torch.equal(module.val_seen[name], values[number])
        assert not torch.equal(module.train_seen[0, name], module.train_seen[1, name])


def test_pixels__of_a_training_batch_are_the_augmented_ones(tiny_vit: str, tmp_path: Path) -> None:
    module = _collected(tiny_vit, tmp_path)
    settings = _data(tiny_vit).pixels
    for pixels, values in zip(module.pixels, module.values, strict=True):
        assert torch.equal(to_pixel_values(pixels, settings), values)
    assert len(module.pixels) == 6


def test_augmentation__is_the_same_with_any_workers(tiny_vit: str, tmp_path: Path) -> None:
    one, other = (_collected(tiny_vit, tmp_path, num_workers=count) for count in (0, 2))
    assert one.train_seen.keys() == other.train_seen.keys()
    assert all(torch.equal(image, other.train_seen[key]) for key, image in one.train_seen.items())


def test_augmentations__of_an_empty_list_change_nothing(tiny_vit: str, tmp_path: Path) -> None:
    module = _collected(tiny_vit, tmp_path, augmentations=[])
    assert all(
        torch.equal(seen, module.val_seen[id_]) for (_, id_), seen in module.train_seen.items()
    )
    assert not module.targets


def test_augmentations_and_mixings__are_done_one_after_another(
    tiny_vit: str, tmp_path: Path
) -> None:
    changes = [TrivialAugment(), CropAndFlip(2)]
    settings: dict[str, Any] = {
        "augmentations": changes,
        "mix_transforms": [CutMix()],
        "batch_size": 5,
    }
    one, two = (
        _collected(tiny_vit, tmp_path, num_workers=workers, **settings) for workers in (0, 2)
    )
    assert all(torch.equal(image, two.train_seen[key]) for key, image in one.train_seen.items())
    assert one.targets.keys() == one.train_seen.keys()
    assert all(torch.equal(target, two.targets[key]) for key, target in one.targets.items())
    assert any(0 < target[0] < 1 for target in one.targets.values())
    first = [key for key in one.train_seen if key[0] == 1][:5]  # one batch, in its order
    numbers = [int(id_[1:]) for _, id_ in first]
    images = torch.from_numpy(np.stack([drawn(n) for n in numbers])).permute(0, 3, 1, 2) / 255
    with seeded(images.device, 0, 1, *numbers):
        images = augment(images, changes)
        classes = torch.eye(2)[torch.tensor(numbers) % 2]
        images, targets = mix(images, classes, [CutMix()])
    images = (images * 255).round().to(torch.uint8)
    values = to_pixel_values(images, _data(tiny_vit).pixels)
    assert torch.equal(torch.stack([one.train_seen[key] for key in first]), values)
    assert torch.equal(torch.stack([one.targets[key] for key in first]), targets)


class _Own(torch.nn.Module):
    """Gives what a function makes of the images."""

    def __init__(self, change: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.change = change

    def forward(self, images: torch.Tensor) -> Any:  # noqa: ANN401 - anything
        """Change the images."""
        return self.change(images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images.byte(), r"_Own gives torch.uint8 of \[4, 3, 8, 8\]; expected"),
        (lambda images: images[:, :1], r"_Own gives torch.float32 of \[4, 1, 8, 8\]"),
        (lambda _: None, r"_Own gives NoneType; expected are images"),
    ],
)
def test_own_augmentation__that_gives_something_else_is_told(
    change: Callable[[torch.Tensor], Any], message: str, tiny_vit: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        _collected(tiny_vit, tmp_path, augmentations=[_Own(change)])


def test_folders__with_names_like_fractions_are_classes(tiny_vit: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "train", 8)
    (folder / "dark").rename(folder / "1.5")
    (folder / "light").rename(folder / "1e3")
    data = ImageClassificationDataModule(tiny_vit, dataset=str(tmp_path), val_fraction=0.25)
    data.setup("fit")
    assert data.label_names == ["1.5", "1e3"]
    assert sorted(data.splits["train"]["labels"]) == [0, 0, 0, 1, 1, 1]


def test_class__alone_in_a_folder_is_told(tiny_vit: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "cats", 3, by_class=False)
    data = ImageClassificationDataModule(tiny_vit, train_file=str(tmp_path))
    with pytest.raises(InputError, match=rf"{tmp_path}: there is one class only \('cats'\)"):
        data.setup("fit")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_names": ["a"]}, "`label_names` to be two names"),
        ({"image_size": 0}, "`image_size` to be at least 1"),
        ({"image_column": "picture"}, "`image_column`"),
    ],
)
def test_settings__that_cannot_be_are_refused(
    tiny_vit: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        _data(tiny_vit, **settings).setup("fit")


def test_model__without_image_processor_is_told(tiny_model: str) -> None:
    wanted = rf"'{tiny_model}': the image processor \(preprocessor_config\.json\) cannot be loaded"
    with pytest.raises(InputError, match=wanted):
        _data(tiny_model).prepare_data()


def _ids_to_predict(model: str, predict: str | list[str]) -> list[str]:
    return list(ImageClassificationDataModule(model, predict_file=predict).rows("predict")["id"])


def test_images_to_predict__are_a_folder_with_subfolders_files_or_a_pattern(
    tiny_vit: str, tmp_path: Path
) -> None:
    write_folder(tmp_path, 3)
    (tmp_path / "new.png").write_bytes(png(7))
    found = ["dark/00.png", "dark/02.png", "light/01.png", "new.png"]
    assert _ids_to_predict(tiny_vit, str(tmp_path)) == found
    assert _ids_to_predict(tiny_vit, str(tmp_path / "new.png")) == ["new.png"]
    assert _ids_to_predict(tiny_vit, str(tmp_path / "dark" / "*.png")) == ["00.png", "02.png"]
    both = [str(tmp_path / "*" / "*.png"), str(tmp_path / "new.png")]
    assert _ids_to_predict(tiny_vit, both) == found
    with pytest.raises(InputError, match=r"nowhere\.png"):
        _ids_to_predict(tiny_vit, [str(tmp_path / "nowhere.png"), str(tmp_path / "new.png")])
    with pytest.raises(InputError, match=r"new\.png lie beside folders"):
        ImageClassificationDataModule(tiny_vit, train_file=str(tmp_path)).tables("train")
