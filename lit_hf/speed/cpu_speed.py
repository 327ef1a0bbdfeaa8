"""CPUSpeed: a training on the CPU loses no time on what needs none."""

import ctypes
import os
import sys
from collections.abc import Callable

from lightning.pytorch import LightningModule, Trainer

from lit_hf.modules.base import HFModule
from lit_hf.speed.attention import apply_cpu_patches
from lit_hf.speed.callback import CPUPatches
from lit_hf.speed.prepacked_linear import PackedWeights, can_pack

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc's malloc.h
_PAD = 64 * 2**20


class CPUSpeed(CPUPatches):
    """Makes training on the CPU faster; on other devices it does nothing.

    Freed memory is kept for the next step instead of being given back to the system, which clears
    each page anew (glibc only). Kernels are kept for batches of all lengths instead of being made
    again (oneDNN). Dropout draws its numbers in a quicker way, and attention is computed by plain
    products, both of `lit_hf.speed.attention`: the same mathematics, other draws. In evaluations in
    bfloat16 linear layers multiply by weights in oneDNN's order (`lit_hf.speed.prepacked_linear`).
    The model is put back as it was when the Trainer is done; the process keeps memory and kernels
    from then on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._packed: PackedWeights | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**super().__getstate__(), "_packed": None}

    def apply_cpu_patches(self, trainer: Trainer, module: HFModule) -> Callable[[], None] | None:
        """Keep memory and kernels, and compute dropout and attention in the quicker ways."""
        if trainer.strategy.root_device.type != "cpu":
            return None
        keep_memory()
        keep_kernels()
        undo = apply_cpu_patches(module.model)
        self._packed = PackedWeights(module.model) if can_pack() else None

        def undo_all() -> None:
            if self._packed is not None:
                self._packed.end_batch()
                self._packed = None
            undo()

        return undo_all

    def on_validation_batch_start(self, *args: object, **kwargs: object) -> None:
        """Let the batch use packed weights."""
        if self._packed is not None:
            self._packed.begin_batch()

    def on_validation_batch_end(self, *args: object, **kwargs: object) -> None:
        """Let what comes between batches use the weights that the layers have then."""
        if self._packed is not None:
            self._packed.end_batch()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the packed weights; the next evaluation has others."""
        if self._packed is not None:
            self._packed.forget()

    on_test_batch_start = on_predict_batch_start = on_validation_batch_start
    on_test_batch_end = on_predict_batch_end = on_validation_batch_end
    on_test_end = on_predict_end = on_validation_end


def keep_memory() -> bool:
    """Let this process keep the memory that it frees; true where that could be set.

    The default gives every large block back at once, so that the next one is made of new pages,
    which the system has to clear.
    https://sourceware.org/glibc/manual/latest/html_node/Malloc-Tunable-Parameters.html
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library, or none to load from
        return False
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: _PAD}
    return all(mallopt(name, value) == 1 for name, value in settings.items())


def keep_kernels() -> None:
    """Let oneDNN keep the kernels of 16,384 shapes instead of 1,024, unless it was told otherwise.

    Every length of a batch wants some fourteen of its own. Counts for a process that has not run
    one yet. https://uxlfoundation.github.io/oneDNN/dev_guide_primitive_cache.html
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16384")
