"""PruneLastLayer: the last layer of a classifier computes what its head reads, and no more."""

from collections.abc import Callable

from lightning.pytorch import Trainer

from lit_hf.modules.base import HFModule
from lit_hf.speed.callback import CPUPatches
from lit_hf.speed.prune_last_layer import read_first_token


class PruneLastLayer(CPUPatches):
    """Leaves out what no head reads, in training and evaluation, on any device.

    The ready heads of BERT, RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA, DeBERTa (v2 and v3),
    DistilBERT, MPNet and ViT read the first token alone, so behind the attention of the last layer
    the other tokens are not computed. Logits and gradients are the same, but for dropout, which
    draws fewer numbers and so others from there on. Heads and poolers of your own, and models that
    override `forward`, run as they are. A hook of yours on the encoder sees the first token alone.
    """

    def apply_cpu_patches(self, trainer: Trainer, module: HFModule) -> Callable[[], None] | None:
        """Cut the last layer."""
        return read_first_token(module.model)
