"""Parts of a module that may be others than those of a checkpoint: its loss and its metrics."""

from collections.abc import Mapping


def with_own_parts(
    held: Mapping[str, object], own: Mapping[str, object], parts: tuple[str, ...]
) -> dict[str, object]:
    """The weights of a checkpoint, where some parts of a module may be others than it holds.

    Args:
        held: the weights by name.
        own: those of the module.
        parts: beginnings of names. What of them the module lacks is left out; what the checkpoint
            lacks, or holds in another shape, stays as it is.

    >>> with_own_parts({"model.a": 1.0, "loss.w": 1.0}, {"model.a": 0.0, "loss.v": 0.0}, ("loss.",))
    {'model.a': 1.0, 'loss.v': 0.0}
    """
    found = {name: value for name, value in held.items() if not name.startswith(parts)}
    for name, value in own.items():
        if name.startswith(parts):
            given = held.get(name, value)
            is_same = getattr(given, "shape", None) == getattr(value, "shape", None)
            found[name] = given if is_same else value
    return found
