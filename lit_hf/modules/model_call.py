"""How a module calls its model: with a batch, or as transformers does."""

import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from typing import cast

from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from lit_hf.modules.late_model import LateModel
from lit_hf.pretrained.models import backbone_of, keeping_attentions

# Of these a model makes its own loss.
_TRUTHS = {"labels", "start_positions", "end_positions", "next_sentence_label"}


class ModelCall(LateModel):
    """Calls the model.

    Attributes:
        input_names: keys of a batch that the model reads; other tensors that its `forward` names,
            such as `position_ids` of an ordinary batch, are read too.
    """

    input_names: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")

    @property
    def backbone(self) -> PreTrainedModel:
        """The model without its head."""
        return backbone_of(self.model)

    def model_inputs(self, batch: Mapping[str, object]) -> dict[str, object]:
        """What of a batch the model reads."""
        parts = self.model, getattr(self.model, "backbone", self.model)  # under an own head
        others = {name for part in parts for name in inspect.signature(part.forward).parameters}
        others -= _TRUTHS
        return {
            name: value
            for name, value in batch.items()
            if name in self.input_names or (name in others and isinstance(value, Tensor))
        }

    def forward(
        self, *args: object, output_attentions: bool = False, **inputs: object
    ) -> ModelOutput:
        """Run the model on a batch, or call it with its own arguments as in transformers.

        Args:
            args: a batch of the data module; or arguments of the model, such as `input_ids`.
            output_attentions: also give the attention of each layer, [B, heads, L, L].
            inputs: arguments of the model by name; with `labels` (of spans `start_positions` and
                `end_positions`) the output has its `loss`.

        Returns:
            What the model gives, such as `logits` [B, C], and what else was asked for.
        """
        if len(args) == 1 and isinstance(args[0], Mapping):
            inputs, args = {**self.model_inputs(args[0]), **inputs}, ()
        with keeping_attentions(self.model) if output_attentions else nullcontext():
            asked = {"output_attentions": True} if output_attentions else {}
            return cast("ModelOutput", self.model(*args, **inputs, **asked))
