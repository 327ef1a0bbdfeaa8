import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import seed_everything
from torch import Tensor, nn

from lit_hf.data.augmentation.basic import (
    CropAndFlip,
    RandomErasing,
    augment,
    boxes,
    seeded,
    with_numbers,
)
from lit_hf.data.augmentation.policies import RandAugment, TrivialAugment
from lit_hf.errors import InputError
from tests.commands import output_of
from tests.images import drawn, write_folder

CPU = torch.device("cpu")
IMAGES = torch.from_numpy(np.stack([drawn(n, 6, 7) for n in range(40)])).permute(0, 3, 1, 2) / 255


def _moved(image: Tensor, padding: int) -> list[tuple[int, int, bool, Tensor]]:
    """All that moving and mirroring makes of an image."""
    padded = torch.nn.functional.pad(image, [padding] * 4)
    found: list[tuple[int, int, bool, Tensor]] = []
    for top, left in itertools.product(range(2 * padding + 1), repeat=2):
        cut = padded[:, top : top + 6, left : left + 7]
        found += [(top, left, False, cut), (top, left, True, cut.flip(2))]
    return found


def test_images__are_moved_and_mirrored() -> None:
    found = set()
    with seeded(CPU, 0):
        changed = CropAndFlip(2)(IMAGES)
    for before, after in zip(IMAGES, changed, strict=True):
        (place,) = (tuple(at) for *at, moved in _moved(before, 2) if torch.equal(moved, after))
        found.add(place)
    tops, lefts, flips = map(set, zip(*found, strict=True))
    assert len(tops) == len(lefts) == 5
    assert flips == {True, False}
    with pytest.raises(InputError, match="moves images of 6 x 7 out of sight; set at most 5"):
        CropAndFlip(6)(IMAGES)


@pytest.mark.parametrize(
    "augmentation", [CropAndFlip(), RandomErasing(0.7), TrivialAugment(), RandAugment()]
)
def test_changes__depend_on_the_seeds_numbers_alone(augmentation: nn.Module) -> None:
    def changed(*numbers: int) -> Tensor:
        with seeded(CPU, *numbers):
            return augment(IMAGES, [augmentation])

    assert torch.equal(changed(3, 1, 7), changed(3, 1, 7))
    assert 0 <= changed(3, 1).min() < changed(3, 1).max() <= 1
    for numbers in ((4, 1, 7), (3, 2, 7), (3, 1, 8)):
        assert not torch.equal(changed(3, 1, 7), changed(*numbers))


def test_numbers__of_the_training_go_on_as_if_nothing_was_drawn() -> None:
    def draw() -> list[float]:
        return [random.random(), float(torch.rand(())), np.random.rand()]

    seed_everything(7, verbose=False)
    expected = draw()
    seed_everything(7, verbose=False)
    with seeded(CPU, 1, 2):
        inside = draw()
    assert draw() == expected
    with seeded(CPU, 1, 2):
        assert draw() == inside != expected


def test_erasing__covers_one_box_of_the_expected_share_with_the_mean() -> None:
    pixels = np.stack([drawn(n, 40, 30) for n in range(300)])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    with seeded(CPU, 0):
        changed = RandomErasing(0.5)(images)
    areas, ratios = [], []
    for before, after in zip(images, changed, strict=True):
        is_covered = (after != before).any(0)
        if not is_covered.any():
            continue
        rows, columns = is_covered.nonzero().T
        height, width = (int(line.max() - line.min()) + 1 for line in (rows, columns))
        assert height * width == is_covered.sum()
        assert torch.allclose(after[:, is_covered], before.mean((1, 2))[:, None])
        areas.append(height * width / 1200)
        ratios.append(height / width)
    assert 110 < len(areas) < 190
    assert 0.01 < min(areas) < 0.06
    assert 0.26 < max(areas) < 0.36
    assert min(ratios) < 0.5
    assert max(ratios) > 2


def test_boxes__hold_their_first_row_and_column_and_not_the_last() -> None:
    found = boxes(IMAGES[:2], torch.tensor([[1, 2], [0, 0]]), torch.tensor([[3, 3], [0, 7]]))
    assert found.shape == (2, 1, 6, 7)
    assert found[0, 0].nonzero().tolist() == [[1, 2], [2, 2]]
    assert not found[1].any()


def test_settings__that_cannot_be_are_refused() -> None:
    for kind, value in ((CropAndFlip, -1), (RandomErasing, 2)):
        with pytest.raises(InputError, match="Expected"):
            kind(value)


@pytest.mark.parametrize("name", ["kornia.augmentation.RandomErasing", "CropAndFlip"])
def test_classes__of_kornia_and_ours_stand_in_yaml(
    name: str, tiny_vit: str, tmp_path: Path
) -> None:
    """By their class and settings, which a training that resumes compares."""
    write_folder(tmp_path / "set" / "train", 8)
    (tmp_path / "recipe.yaml").write_text(
        f"""
        data:
          class_path: ImageClassificationDataModule
          init_args:
            dataset: {tmp_path / "set"}
            val_fraction: 0
            augmentations:
              - {name}
              - {{class_path: kornia.augmentation.RandomVerticalFlip, init_args: {{p: 1.0}}}}
        """
    )
    words = ("--model", "ImageClassifier", "--model.model_name", tiny_vit, "--trainer.max_epochs=1")
    folder = f"--trainer.default_root_dir={tmp_path / 'run'}"
    monitor = "--checkpoint.monitor=train/loss"
    output_of("fit", "--config", str(tmp_path / "recipe.yaml"), *words, folder, monitor)
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert name in config
    assert "kornia.augmentation.RandomVerticalFlip" in config


def test_numbers__of_augmentations_are_those_they_were_made_with() -> None:
    from kornia.augmentation import RandomErasing as Erasing

    one, other = Erasing(scale=(0.1, 0.2)), Erasing(scale=(0.1, 0.3))
    told = with_numbers([one, CropAndFlip(3)])
    one(IMAGES)
    assert with_numbers([one, CropAndFlip(3)]) == told
    assert with_numbers([other, CropAndFlip(3)]) != told
    assert with_numbers([one, CropAndFlip(4)]) != told
