"""Predictor: a trained folder or checkpoint to answers, for notebooks and services."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor

from lit_hf.batches import Prediction
from lit_hf.callbacks.model_folder import load_module
from lit_hf.checkpointing.reader import load_verified
from lit_hf.data.base import HFDataModule
from lit_hf.data.items import Item, is_list, pairs_of
from lit_hf.data.sources.table import Row
from lit_hf.data.tokenization.unknown_tokens import warn_of_items
from lit_hf.errors import InputError, as_input_error, at_least
from lit_hf.files.scratch import OTHER_SCRATCH, scratch_folder
from lit_hf.files.urls import check_local
from lit_hf.files.write_errors import naming
from lit_hf.functional.class_lookup import class_named, declaring
from lit_hf.modules.base import HFModule
from lit_hf.modules.folder_weights import exported_settings
from lit_hf.modules.loss_guard import check_answers
from lit_hf.modules.modes import answering, is_being_trained
from lit_hf.modules.trained_class import class_of_folder, settings_of
from lit_hf.pretrained.configs import load_config
from lit_hf.pretrained.integrity import check_complete, check_files
from lit_hf.pretrained.processor_files import data_description, known_inputs, write_processor

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
        self._has_warned = False
        self.tokenizer = module.prepared_processor(tokenizer)
        known = dict(inputs or {})
        kind = _data_class(module.task, known.get("data"))
        self._data = kind.for_items(self.tokenizer, module.model.config, known)

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
            with scratch_folder() as folder, as_input_error(path):
                with naming(Path(folder), remedy=OTHER_SCRATCH):
                    has_files = write_processor(checkpoint, Path(folder))
                known = known_inputs(data_description(checkpoint))
                place = folder if has_files else module.model_name
                processor = module.load_processor(place, known)
        else:
            with as_input_error(path):
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
            For each item in order what `lit-hf predict` writes of it, such as `prediction` and
            `probability`, without its name.

        Raises:
            InputError: naming the item that cannot be read; if the model gives no numbers.
        """
        at_least(1, batch_size=batch_size)
        first = items if question is None else question
        second = second if context is None else context
        rows = self._data.read_items(self._listed(first, second))
        order = sorted(range(len(rows)), key=lambda n: _length(rows[n]))  # little padding
        answers: list[Prediction] = [{} for _ in rows]
        token_ids: list[Tensor] = []
        for start in range(0, len(order), batch_size):
            numbers = order[start : start + batch_size]
            batch = self._data.batch_of_rows([rows[n] for n in numbers])
            token_ids += [cast("Tensor", batch["input_ids"])] if "input_ids" in batch else []
            for number, answer in zip(numbers, self._answer(batch), strict=True):
                answers[number] = {k: v for k, v in answer.items() if k not in ("id", "index")}
        check_answers([{**answer, "id": f"item {n}"} for n, answer in enumerate(answers)])
        if token_ids and not self._has_warned:
            tokenizer = cast("PreTrainedTokenizerBase", self.tokenizer)
            self._has_warned = warn_of_items(rows, token_ids, tokenizer)
        return answers

    def _listed(self, items: object, second: object) -> Iterable[object]:
        """The items of a call in a list."""
        if second is not None:
            return pairs_of(items, second)
        if self._data.is_item(items):
            return [items]
        if not is_list(items):
            raise InputError(
                "expected a list of texts, pairs of texts, images or dicts of columns (of a pandas "
                f"frame: `frame.to_dict('records')`), but got a {type(items).__name__}."
            )
        return items

    def _answer(self, batch: Mapping[str, object]) -> list[Prediction]:
        device = self.module.device
        moved: Any = {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in batch.items()
        }
        with answering(self.module), torch.inference_mode():
            return self.module.predict_step(self._data.on_after_batch_transfer(moved, 0), 0)


def _length(row: Row) -> int:
    return sum(len(value) for value in row.values() if isinstance(value, str | list))


def _data_class(task: str, name: object) -> type[HFDataModule]:
    """The class whose batches a module was trained on, else the first one that has its `task`.

    Raises:
        InputError: if it is not imported, or if there is none for the task.
    """
    kinds = declaring(HFDataModule, "task")  # imports those of the package
    if isinstance(name, str):
        return class_named(HFDataModule, name, Predictor.__name__)
    for kind in kinds:
        if kind.task == task:
            return kind
    raise InputError(
        f"no data class of the task {task!r} is imported, which says how rows become batches: a "
        f"subclass of HFDataModule with `task = {task!r}`."
    )


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
