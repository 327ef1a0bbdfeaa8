"""What turns the tokens of a module's batches into text."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import cast

from lightning.pytorch import LightningModule
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lit_hf.modules.data_facts import DataFacts, Processor
from lit_hf.modules.padding import follow_padding
from lit_hf.pretrained.hf_objects import is_in_memory
from lit_hf.pretrained.positions import positions_of
from lit_hf.pretrained.special_tokens import SPLIT_SPECIAL, with_split_tokens
from lit_hf.pretrained.tokenizer_files import (
    forget_calls,
    limit_to_positions,
    save_tokenizer,
    write_for_plain,
)
from lit_hf.pretrained.tokenizers import ask_for_segments, load_tokenizer, padded_at_the_end


class ModuleTokenizer(LightningModule):
    """Finds the tokenizer of a module: that of the data, or of `model_name` when first needed."""

    model: PreTrainedModel
    model_name: str
    _tokenizer: PreTrainedTokenizerBase | None = None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """What turns tokens into text."""
        if (processor := DataFacts(self._trainer).processor) is not None:
            return cast("PreTrainedTokenizerBase", processor)
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self.model_name)
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer

    def is_without_tokenizer(self) -> bool:
        """Whether nothing says where a tokenizer is: neither data, nor the user, nor a folder."""
        is_known = self._tokenizer is not None or DataFacts(self._trainer).processor is not None
        return is_in_memory(self.model_name) and not is_known

    def load_processor(self, path: str, known: Mapping[str, object] | None) -> Processor:
        """The tokenizer beside a model, and how it reads special tokens in texts.

        Args:
            path: Hub id or folder.
            known: the inputs of the training, where lit_hf trained the model. They say how special
                tokens in texts are read where the tokenizer's files do not.
        """
        if known is not None:
            return load_tokenizer(path, bool(known.get(SPLIT_SPECIAL)))
        tokenizer = load_tokenizer(path)
        ask_for_segments(tokenizer, self.model.config)
        return tokenizer

    def prepared_processor(self, processor: Processor) -> Processor:
        """A tokenizer that gives all that the model reads, padded as it needs it; or a copy."""
        own = cast("PreTrainedTokenizerBase", processor)
        config, tokenizer = self.model.config, with_split_tokens(own)
        if tokenizer is not own:  # a copy of a plain one, for which training asks as well
            ask_for_segments(tokenizer, config)
        self.tokenizer = tokenizer = padded_at_the_end(tokenizer, config)
        follow_padding(config, cast("int", tokenizer.pad_token_id))
        return tokenizer

    def write_processor(self, folder: Path) -> None:
        """Write the tokenizer of the data, or of the base model."""
        tokenizer, config = self.tokenizer, self.model.config
        ask_for_segments(tokenizer, config)
        save_tokenizer(padded_at_the_end(tokenizer, config), folder)

    def finish_export(self, model: PreTrainedModel, folder: Path, literals: Sequence[str]) -> None:
        """Let the tokenizer of a folder read in plain transformers as it did in the training.

        Args:
            model: what was written.
            folder: with model and tokenizer.
            literals: what the template of a text holds besides its values.
        """
        forget_calls(folder)
        limit_to_positions(folder, positions_of(getattr(model, "backbone", model).config))
        follow_padding(model.config, load_tokenizer(str(folder)).pad_token_id)
        model.config.save_pretrained(folder)
        write_for_plain(folder, literals)

    def call_options(self, folder: Path) -> dict[str, object]:
        """Arguments of the model beside its inputs; none."""
        return {}

    def decode_tokens(self, ids: Sequence[int]) -> str:
        """The text of some tokens, with " ‖ " between the two texts of a pair.

        Of a model in memory, without data and without a tokenizer, these are their numbers.
        """
        if self.is_without_tokenizer():
            return " ".join(map(str, ids))
        special = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        texts = [
            self.tokenizer.decode(list(part), clean_up_tokenization_spaces=True)
            for is_special, part in groupby(ids, special.__contains__)
            if not is_special
        ]
        return " ‖ ".join(str(text).strip() for text in texts)
