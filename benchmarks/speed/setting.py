"""Where and in which precision everybody computes, and what a device says of itself."""

import gc
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Setting:
    """Where and how everybody computes.

    Args:
        accelerator: "cpu" or "gpu".
        precision: as Lightning calls it.
        num_workers: processes that load batches.
        multiple: batches of tokens are padded to a multiple of it.
        verbs: what lit_hf's command does one after the other, and the others likewise.
    """

    accelerator: str = "cpu"
    precision: str = "bf16-mixed"
    num_workers: int = 0
    multiple: int = 1
    verbs: tuple[str, ...] = ("fit", "validate", "predict")


def _has_gpu() -> bool:
    """Whether this process uses one."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]  # has no types


def settle() -> None:
    """Wait until the GPU has done what it was given, where one is in use."""
    if _has_gpu():
        torch.cuda.synchronize()


def give_back() -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if _has_gpu():
        torch.cuda.empty_cache()


def forget_peak() -> None:
    """Forget the most memory of the GPU that tensors have taken."""
    if _has_gpu():
        torch.cuda.reset_peak_memory_stats()


def peak() -> dict[str, float]:
    """The most memory of a GPU that tensors took since `forget_peak`; {} where none is used."""
    if not _has_gpu():
        return {}
    return {"peak_gpu_mib": torch.cuda.max_memory_allocated() / 2**20}
