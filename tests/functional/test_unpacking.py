import inspect
from typing import TypedDict

from lit_hf.functional.given_settings import declared_in
from lit_hf.functional.unpacking import Unpack


class _Settings(TypedDict, total=False):
    size: int
    seed: int


def test_unpack__takes_any_argument_at_run_time_and_knows_the_names() -> None:
    def make(**settings: Unpack[_Settings]) -> dict[str, object]:
        return {**settings}

    assert make(size=1) == {"size": 1}
    (parameter,) = inspect.signature(make).parameters.values()
    assert declared_in(parameter) == ["seed", "size"]
