"""Predictor: a trained folder or checkpoint to answers, for notebooks and services."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import torch
from torch import Tensor

from lit_hf.batches import Prediction
from lit_hf.callbacks.export import load_module
from lit_hf.checkpointing.reader import load_verified
from lit_hf.data.items.data_class import data_class
from lit_hf.data.items.items import Item, checked_size, is_list, no_pairs, remedy
from lit_hf.data.tokenization.unknown_tokens import warn_of_items
from lit_hf.errors import InputError, told_as_input
from lit_hf.files.scratch import OTHER_SCRATCH, scratch_folder
from lit_hf.files.urls import check_local
from lit_hf.files.write_errors import naming
from lit_hf.modules.base import HFModule
from lit_hf.modules.folder_weights import exported_settings
from lit_hf.modules.loss_guard import check_answers
from lit_hf.modules.modes import answering, is_being_trained
from lit_hf.modules.trained_class import class_of_folder, settings_of
from lit_hf.pretrained.complete_weights import check_complete
from lit_hf.pretrained.model_files import check_files
from lit_hf.pretrained.processor_files import data_description, known_inputs, write_processor
from lit_hf.pretrained.processors import (
    load_config,
)

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedTokenizerBase


class Predictor:
    """Answers for texts or questions, the same as `lit-hf predict` writes.

    Special tokens that a text spells, such as `</s>`, are text, unless the tokenizer's files say
    otherwise. Several threads may call it at once.

    Args:
        module: a trained module; it is put into evaluation mode. One that is being trained, as in
            a callback, answers in evaluation mode and is trained on in its own.
        tokenizer: the tokenizer it was trained with. Of a model for images its image processor.
        inputs: how the data was read in training: `max_length`, without which a classifier takes
            as many tokens as tokenizer and model allow; of a classifier how a row that is a dict
            becomes a text: `text_column`, `pair_column` and `text_template`; of questions
            `doc_stride` and `prompt`.

    Raises:
        InputError: if these cannot be used.
    """

    def __init__(
        self,
        module: HFModule,
        tokenizer: "PreTrainedTokenizerBase | BaseImageProcessor",
        inputs: Mapping[str, object] | None = None,
    ) -> None:
        self.module = module
        if not is_being_trained(module):
            module.train(False)
        self._has_told_unknown = False
        self.tokenizer = module.prepared_processor(tokenizer)
        known = dict(inputs or {})
        data = data_class(module.task, known.get("data"), type(self).__name__)
        self._inputs = data.for_items(self.tokenizer, module.model.config, known)

    @classmethod
    def from_pretrained(cls, path: str | Path, device: str = "cpu") -> Self:
        """Load a trained folder (`runs/x/pretrained`) or a checkpoint (`….ckpt`), offline.

        Args:
            path: the folder, checkpoint or Hub id.
            device: where to run, such as "cuda".

        Raises:
            InputError: if it cannot be loaded.
        """
        check_local("path", path)
        if str(path).endswith(".ckpt"):
            checkpoint = load_verified(path)
            module = load_module(path, checkpoint)
            with scratch_folder() as folder, told_as_input(path):
                with naming(Path(folder), remedy=OTHER_SCRATCH):
                    held = write_processor(checkpoint, Path(folder))
                about = data_description(checkpoint)
                known = known_inputs(about)
                processor = module.load_processor(folder if held else module.model_name, known)
        else:
            with told_as_input(path):
                module, known = _from_folder(str(path))
            processor = module.load_processor(str(path), known)
        return cls(module.to(_device(device)), processor, known)

    def __call__(
        self,
        items: Item | Iterable[Item] | None = None,
        second: str | Sequence[str] | None = None,
        *,
        question: str | Sequence[str] | None = None,
        context: str | Sequence[str] | None = None,
        batch_size: int = 64,
    ) -> list[Prediction]:
        """Answer each item.

        Args:
            items: for a classifier texts, pairs of texts, or rows (dicts of columns) as in
                training; for questions pairs of question and context, or dicts of both; for images
                paths, files' contents, Pillow images, arrays or tensors of bytes or of numbers in
                0..1. One alone is taken as a list of one.
            second: the context of the question, or the second text of a pair, where `items` is the
                first one; lists of both are paired one by one, a text with each of a list.
            question: `items` by another name.
            context: `second` by another name.
            batch_size: items run at once.

        Returns:
            For each item in order what `lit-hf predict` tells of it, such as `prediction` and
            `probability`, without its name.

        Raises:
            InputError: naming the item that is none, or that is no pair where others are; if the
                model gives no numbers.
        """
        size = checked_size(batch_size)
        parts = self._inputs.read(self._listed(items, second, question, context))
        order = sorted(range(len(parts)), key=lambda i: sum(map(len, parts[i])))
        answers: list[Prediction] = [{} for _ in parts]
        token_ids: list[Tensor] = []
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            batch = self._inputs.batch([parts[i] for i in rows])
            token_ids += [cast("Tensor", batch["input_ids"])] if "input_ids" in batch else []
            for row, answer in zip(rows, self._answer(batch), strict=True):
                answers[row] = {k: v for k, v in answer.items() if k not in ("id", "index")}
        check_answers([{**answer, "id": f"item {row}"} for row, answer in enumerate(answers)])
        if token_ids and not self._has_told_unknown:
            tokenizer = cast("PreTrainedTokenizerBase", self.tokenizer)
            self._has_told_unknown = warn_of_items(parts, token_ids, tokenizer)
        return answers

    def _listed(
        self, items: object, second: object, question: object, context: object
    ) -> Iterable[object]:
        """The items of a call in a list."""
        if question is not None or context is not None:
            if items is not None or second is not None:
                raise InputError("wanted are items, or `question` with `context`, not both.")
            items, second = question, context
            if items is None or second is None:
                raise no_pairs(items, second)
        if second is not None:
            return self._inputs.paired(items, second)
        if self._inputs.is_one(items):
            return [items]
        if not is_list(items):
            raise InputError(
                "wanted a list of texts, pairs of texts, images or dicts of columns (of a pandas "
                f"frame: `frame.to_dict('records')`), but got a {type(items).__name__}."
                f"{remedy(items)}"
            )
        return items

    def _answer(self, batch: Mapping[str, object]) -> list[Prediction]:
        device = self.module.device
        moved = {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in batch.items()
        }
        with answering(self.module), torch.inference_mode():
            return self.module.predict_step(moved, 0)


def _from_folder(path: str) -> tuple[HFModule, dict[str, object] | None]:
    """The module of a trained folder, and how its data was read."""
    _check_is_model(Path(path))
    check_files(path)
    config = load_config(path)
    known, kind = exported_settings(config), class_of_folder(config, path)
    module = kind(path, **{**kind.settings_in(config), **settings_of(kind, known or {})})
    module.configure_model()
    check_complete(module.model, path)
    return module, known


def _check_is_model(folder: Path) -> None:
    """Refuse the folder of a run, around the folder of its model."""
    if not os.path.isdir(folder / "checkpoints") or (folder / "config.json").exists():
        return
    models = [config.parent for config in folder.glob("*/config.json")]
    found = sorted(models) or sorted(folder.glob("checkpoints/*.ckpt"))
    if found:
        raise InputError(f"{folder}: this is the folder of a run; give its model, {found[0]}.")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"`device` {name!r} cannot be used here: {error}") from error
    return device
