"""All processes of a run have the same rows, in the same order."""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import Trainer

from lit_hf.data.rows.fingerprint import KnownRows
from lit_hf.data.sampling.dataloader import check_not_importing
from lit_hf.data.sources.resolve import Split
from lit_hf.distributed.agreement import are_several, gather, refuse_together
from lit_hf.errors import InputError

_SPLITS: dict[str, tuple[Split, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
}


@contextmanager
def left_to_setup(trainer: Trainer | None) -> Iterator[None]:
    """Leave an error of the input to `setup`, where all processes raise it.

    Before that only the first process of a machine reads rows, and the others would wait for it.
    """
    if trainer is not None:
        check_not_importing()
    try:
        yield
    except InputError:
        if trainer is None or not are_several():
            raise


@contextmanager
def raised_together(trainer: Trainer | None) -> Iterator[None]:
    """Let all processes raise what one of them meets, such as a file that its machine lacks.

    Raises:
        InputError: naming the process, if not all have met it.
    """
    reason = ""
    try:
        yield
    except InputError as error:
        if trainer is None or not are_several():
            raise
        reason = str(error)
    if trainer is not None:
        refuse_together(reason)


def check_same_rows(data: KnownRows, seed: int, stage: str) -> None:
    """Refuse processes whose rows differ, as where a script draws a split without a seed.

    Each process takes its share of the rows by their numbers. If the numbers mean other rows in
    each, some are taken twice and some never, and one process trains what another validates. All
    processes must call it.

    Args:
        data: with the rows of this process.
        seed: by which it draws their order.
        stage: "fit", "validate", "test" or "predict".

    Raises:
        InputError: naming the splits that differ.
    """
    if not are_several():
        return
    own = {str(split): _content_of(data, split) for split in _SPLITS[stage]}
    if reason := difference(gather({**own, "seed": str(seed)})):
        raise InputError(reason)


def difference(everywhere: list[dict[str, str]]) -> str:
    """Say what differs between processes; "" where nothing does.

    Args:
        everywhere: what each process has, by the name of a split or of a setting.

    >>> difference([{"train": "a1", "seed": "0"}, {"train": "a1", "seed": "0"}])
    ''
    >>> difference([{"train": "a1", "val": "b1"}, {"train": "a2", "val": "b1"}])[:53]
    'the processes of this run do not have the same train:'
    """
    names = [name for name in everywhere[0] if len({own[name] for own in everywhere}) > 1]
    if not names:
        return ""
    return (
        f"the processes of this run do not have the same {', '.join(names)}: rows would be taken "
        "twice or never. A script runs once in each process: give a seed to whatever it draws "
        "(`random_state=0` to `train_test_split`, `sample` or `shuffle`), or write the split to "
        "files. On several machines the files have to be the same on each."
    )


def _content_of(data: KnownRows, split: Split) -> str:
    """Changes with the rows of a split, their labels and their order."""
    source = data.source(split)
    return f"{source.get('stamp')} {source.get('sample')}"
