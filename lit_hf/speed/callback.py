"""CPUSpeed and PruneLastLayer: callbacks that make a model faster while a Trainer runs it."""

import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from lightning.pytorch import Callback, LightningModule, Trainer
from transformers import PreTrainedModel

from lit_hf.modules.base import HFModule
from lit_hf.speed.attention import apply_cpu_patches
from lit_hf.speed.prepacked_linear import can_pack, pack_linears
from lit_hf.speed.prune_last_layer import read_first_token

# Settings of glibc's malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD.
_MALLOC = {-4: 0, -1: 2**31 - 1, -2: 64 * 2**20}


class ModelPatch(Callback):
    """Changes how a model computes, not what, before the first batch; restores it at the end."""

    _undo: Callable[[], None] | None = None

    def __getstate__(self) -> dict[str, object]:  # a copy has changed no model
        return {k: value for k, value in vars(self).items() if k not in ("_undo", "_unpack")}

    def patch(self, trainer: Trainer, model: PreTrainedModel) -> Callable[[], None] | None:
        """Change the model; the result restores it."""
        raise NotImplementedError

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Change the model once: a validation may be within a training."""
        if self._undo is None and isinstance(pl_module, HFModule):
            self._undo = self.patch(trainer, pl_module.model)

    on_validation_start = on_test_start = on_predict_start = on_fit_start

    def teardown(self, *args: object, **kwargs: object) -> None:
        """Restore the model; after an exception Lightning tears nothing down."""
        if self._undo is not None:
            self._undo()
        self._undo = None

    on_exception = teardown


class PruneLastLayer(ModelPatch):
    """Leaves out what no head reads, in training and evaluation, on any device.

    The ready heads of BERT, RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA, DeBERTa (v2 and v3),
    DistilBERT, MPNet and ViT read the first token alone, so after the attention of the last layer
    the other tokens are not computed. Logits and gradients are the same, but for dropout, which
    draws fewer numbers and so others from there on. Heads and poolers of your own, and models that
    override `forward`, run as they are. A hook of yours on the encoder sees the first token alone.
    """

    def patch(self, trainer: Trainer, model: PreTrainedModel) -> Callable[[], None] | None:
        """Cut the last layer."""
        return read_first_token(model)


class CPUSpeed(ModelPatch):
    """Makes training on the CPU faster; on other devices it does nothing.

    Freed memory is kept for the next step instead of being given back to the system, which clears
    each page again (glibc only). Kernels are kept for batches of all lengths instead of being made
    again (oneDNN). Dropout draws its numbers in a quicker way, and attention is computed by plain
    products, both of `lit_hf.speed.attention`: the same mathematics, other random numbers. In
    evaluations in bfloat16 linear layers multiply by weights in oneDNN's order
    (`lit_hf.speed.prepacked_linear`). The model is restored when the Trainer is done; the process
    keeps memory and kernels from then on.
    """

    _unpack: Callable[[], None] | None = None

    def patch(self, trainer: Trainer, model: PreTrainedModel) -> Callable[[], None] | None:
        """Keep memory and kernels, and compute dropout and attention in the quicker ways."""
        if trainer.strategy.root_device.type != "cpu":
            return None
        keep_memory()
        keep_kernels()
        return apply_cpu_patches(model)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, *args: object, **kwargs: object
    ) -> None:
        """Pack the weights at the first batch: averages of weights are in the model by then."""
        is_bfloat16 = self._undo is not None and str(trainer.precision).startswith("bf16")
        if self._unpack is None and is_bfloat16 and can_pack():
            self._unpack = pack_linears(pl_module)

    def on_validation_epoch_end(self, *args: object, **kwargs: object) -> None:
        """Use the weights themselves again: the next evaluation has others."""
        if self._unpack is not None:
            self._unpack()
        self._unpack = None

    on_test_batch_start = on_predict_batch_start = on_validation_batch_start
    on_test_epoch_end = on_predict_epoch_end = on_validation_epoch_end

    def teardown(self, *args: object, **kwargs: object) -> None:
        """Restore the model, also in the midst of an evaluation."""
        self.on_validation_epoch_end()
        super().teardown()

    on_exception = teardown


def keep_memory() -> None:
    """Let this process keep the memory that it frees, where the C library is glibc.

    The default gives every large block back at once, so that the next one is made of new pages,
    which the system has to clear.
    https://sourceware.org/glibc/manual/latest/html_node/Malloc-Tunable-Parameters.html
    """
    if sys.platform.startswith("linux"):
        with suppress(AttributeError, OSError):  # another C library, or none to load from
            mallopt = ctypes.CDLL(None).mallopt
            for name, value in _MALLOC.items():
                mallopt(name, value)


def keep_kernels() -> None:
    """Let oneDNN keep the kernels of 16,384 shapes instead of 1,024, unless it is set otherwise.

    Every length of a batch needs some fourteen of its own. Counts for a process that has not run
    one yet. https://uxlfoundation.github.io/oneDNN/dev_guide_primitive_cache.html
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16384")
