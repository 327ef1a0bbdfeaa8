"""What turns the tokens of a module's batches into text."""

from collections.abc import Sequence
from typing import cast

from lightning.pytorch import LightningModule
from transformers import PreTrainedTokenizerBase

from lit_hf.processors import load_tokenizer


class ModuleTokenizer(LightningModule):
    """Finds the tokenizer of a module: that of the data, or of `model_name` when first needed."""

    model_name: str
    _tokenizer: PreTrainedTokenizerBase | None = None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """What turns tokens into text."""
        data = getattr(self._trainer, "datamodule", None)
        if (processor := getattr(data, "processor", None)) is not None:
            return cast("PreTrainedTokenizerBase", processor)
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self.model_name)
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer

    def decode_tokens(self, ids: Sequence[int]) -> str:
        """The text of some tokens, with " ‖ " between the two texts of a pair."""
        special = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        parts: list[list[int]] = [[]]
        for token in ids:
            if token in special:
                parts.append([])
            else:
                parts[-1].append(token)
        texts = [
            self.tokenizer.decode(part, clean_up_tokenization_spaces=True) for part in parts if part
        ]
        return " ‖ ".join(str(text).strip() for text in texts)
