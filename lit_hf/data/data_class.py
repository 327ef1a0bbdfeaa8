"""The data class of a task: what makes batches of a Predictor's items."""

from importlib import import_module

from lit_hf.data.base import HFDataModule
from lit_hf.errors import InputError
from lit_hf.functional.class_lookup import class_named, subclasses

_BUILT_IN = ("extractive_qa", "generative_qa", "image_classification", "text_classification")


def data_class(task: str, name: object, path: object) -> type[HFDataModule]:
    """The class whose batches a module was trained on, else the first one of its task.

    Args:
        task: of the module.
        name: of the class, where the training has described it.
        path: what names it, for the message.

    Raises:
        InputError: if it is not imported, or if there is none for the task.
    """
    for stem in _BUILT_IN:
        import_module(f"lit_hf.data.{stem}")
    if isinstance(name, str):
        return class_named(HFDataModule, name, path)
    for kind in subclasses(HFDataModule):
        if getattr(kind, "task", None) == task:
            return kind
    raise InputError(
        f"no data class of the task {task!r} is imported, which says how rows become batches: a "
        f"subclass of HFDataModule with `task = {task!r}`."
    )
