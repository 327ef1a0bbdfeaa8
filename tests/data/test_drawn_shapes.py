import numpy as np
import pytest

from lit_hf.data.drawn_shapes import SHAPES, SIDE, drawn_shapes, filled
from lit_hf.errors import InputError


def test_images__depend_on_seed_and_number_alone() -> None:
    many, few, others = drawn_shapes(12, seed=3), drawn_shapes(5, seed=3), drawn_shapes(5, seed=4)
    for row, again, other in zip(many, few, others, strict=False):
        assert row["id"] == again["id"] == other["id"]
        assert row["label"] == again["label"] == other["label"]
        assert np.array_equal(np.asarray(row["image"]), np.asarray(again["image"]))
        assert not np.array_equal(np.asarray(row["image"]), np.asarray(other["image"]))


def test_classes__take_turns_and_images_are_bytes() -> None:
    rows = drawn_shapes(11)
    assert [row["label"] for row in rows] == [*SHAPES, *SHAPES, SHAPES[0]]
    assert [row["id"] for row in rows] == [str(number) for number in range(11)]
    for row in rows:
        image = np.asarray(row["image"])
        assert image.shape == (SIDE, SIDE, 3)
        assert image.dtype == np.dtype(np.uint8)
    with pytest.raises(InputError, match="`count`"):
        drawn_shapes(0)


class _Middle:
    """Random numbers that are the mean of what is asked for."""

    def uniform(self, low: float, high: float, size: int | None = None) -> object:
        middle = (low + high) / 2
        return middle if size is None else np.full(size, middle)


@pytest.mark.parametrize(
    ("label", "area"),
    [
        ("circle", np.pi * 0.85**2),
        ("cross", 4 * (2 * 0.32 * (1 - 0.32)) + (2 * 0.32) ** 2),
        ("square", 2 * 1.05**2),
        ("star", 5 * 1.15 * 0.5 * np.sin(np.pi / 5)),
        ("triangle", 3 * 3**0.5 / 4 * 1.15**2),
    ],
)
def test_outlines__enclose_the_shape(label: str, area: float) -> None:
    found = filled(label, _Middle())  # type: ignore[arg-type]  # all that is asked of it
    assert np.isclose(found.sum() / (0.35 * SIDE) ** 2, area, rtol=0.04)
    assert np.abs(found - found[:, ::-1]).max() < 0.2  # all are mirrored about straight up


def test_shapes__lie_in_the_middle_and_are_lighter_than_the_edge() -> None:
    images = np.stack([np.asarray(row["image"]) for row in drawn_shapes(200)]).astype(float)
    middle, edge = images[:, 14:18, 14:18].mean((1, 2, 3)), images[:, :, :1].mean((1, 2, 3))
    assert (middle > edge).all()
