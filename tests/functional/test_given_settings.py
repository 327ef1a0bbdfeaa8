import inspect
import pickle
from typing import Any, TypedDict, Unpack

from lit_hf.functional.given_settings import (
    accepted_by,
    given_settings,
    kept_settings,
    refused_by,
    remember_given,
    taken_out,
)


class _Base:
    def __init__(self, size: int, names: list[str] | None = None) -> None:
        self.size, self.names = size, names


class _Own(_Base):
    """Keeps all of its arguments but `seed` and those of its base."""

    def __init__(
        self,
        noise: dict[str, float],
        call: object = print,
        seed: int = 0,
        **others: Any,  # noqa: ANN401 - of the base class
    ) -> None:
        super().__init__(**others)
        self.noise, self.call, self.state = noise, call, 7


def test_settings__of_classes_of_the_user_alone() -> None:
    class Ours(_Base):
        pass

    _Base.__module__, before = "lit_hf.base", _Base.__module__
    try:
        assert given_settings(Ours(3), of_users_alone=True) == {}
        assert given_settings(_Own({}, size=3), of_users_alone=True) == {"noise": "{}"}
    finally:
        _Base.__module__ = before


class _Settings(TypedDict, total=False):
    rate: float
    depth: int


class _Declared(_Base):
    def __init__(self, size: int, **settings: Unpack[_Settings]) -> None:
        super().__init__(size)


def test_declared_settings__are_the_only_ones_that_a_class_takes() -> None:
    assert accepted_by(_Declared) == ["size", "depth", "rate"]
    assert refused_by(_Declared, ["rate", "names", "size"]) == ["names"]
    assert refused_by(_Own, ["rate"]) == []


class _Popped(_Base):
    def __init__(self, scale: float, *more: int, rate: float = 0.5, **others: Any) -> None:  # noqa: ANN401 - of the base class
        self._shift = others.pop("shift", 0)
        super().__init__(**others)
        self._factor = scale
        self.rate = 2 * rate


def test_settings__that_are_kept_under_no_name_are_those_given() -> None:
    signature = inspect.signature(_Popped)
    remember_given(_Popped)
    made = _Popped(2.0, 7, shift=1, size=3, names=None)
    expected = {"scale": 2.0, "size": 3, "names": None, "shift": 1, "rate": 0.5}
    assert kept_settings(made) == expected
    assert kept_settings(pickle.loads(pickle.dumps(made))) == expected
    assert taken_out(made) == ["shift"]
    assert inspect.signature(_Popped) == signature
