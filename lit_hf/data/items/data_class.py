"""The data class of a task: what makes batches of a Predictor's items."""

from lit_hf.data.base import HFDataModule
from lit_hf.errors import InputError
from lit_hf.functional.class_lookup import class_named, declaring


def data_class(task: str, name: object, path: object) -> type[HFDataModule]:
    """The class whose batches a module was trained on, else one that has its `task`.

    Of several that name the task themselves the package's goes first, then the nearest one.

    Args:
        task: of the module.
        name: of the class, where the training has described it.
        path: what names it, for the message.

    Raises:
        InputError: if it is not imported, or if there is none for the task.
    """
    kinds = declaring(HFDataModule, "task")  # imports those of the package
    if isinstance(name, str):
        return class_named(HFDataModule, name, path)
    for kind in kinds:
        if kind.task == task:
            return kind
    raise InputError(
        f"no data class of the task {task!r} is imported, which says how rows become batches: a "
        f"subclass of HFDataModule with `task = {task!r}`."
    )
