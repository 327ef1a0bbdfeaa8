"""Comparing what is known of two trainings, or of two validations."""

from collections.abc import Mapping

Fact = str | int | float | None


def differences(saved: Mapping[str, Fact], own: Mapping[str, Fact]) -> list[str]:
    """What has changed.

    Args:
        saved: facts by their names, as they were; a "content" is a hash, which says nothing.
        own: as they are.

    >>> differences({"batch_size": 32, "seed": 0}, {"batch_size": 16, "seed": 0})
    ['batch_size was 32, is 16']
    >>> differences({"content of the rows": "0d88"}, {"content of the rows": "03a4"})
    ['content of the rows has changed']
    """
    return [
        f"{name} has changed"
        if name.startswith("content") and name in saved and name in own
        else f"{name} was {saved.get(name)}, is {own.get(name)}"
        for name in {**saved, **own}
        if saved.get(name) != own.get(name)
    ]
