"""Predictor: a trained folder or checkpoint to answers, for notebooks and services."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import torch
from torch import Tensor

from lit_hf.batches import Prediction
from lit_hf.callbacks.export import MODULES, load_module
from lit_hf.checkpoints import read_whole
from lit_hf.data.prompts import DEFAULT_PROMPT, PromptSettings
from lit_hf.data.unknown_tokens import warn_of_items
from lit_hf.errors import InputError, told_as_input
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.urls import check_local
from lit_hf.image_inputs import ImageInputs
from lit_hf.inputs import Inputs, Item, PromptInputs, QuestionInputs, TextInputs
from lit_hf.items import checked_size, is_list, no_pairs, remedy
from lit_hf.model_files import check_files
from lit_hf.model_inputs import ask_for_segments, padded_at_the_end
from lit_hf.modules.base import HFModule
from lit_hf.modules.complete_weights import check_complete
from lit_hf.modules.extractive_qa import ExtractiveQA
from lit_hf.modules.finite import check_answers
from lit_hf.modules.generative_qa import GenerativeQA
from lit_hf.modules.heads import BackboneWithHead
from lit_hf.modules.image_classification import ImageClassifier
from lit_hf.modules.modes import answering, is_being_trained
from lit_hf.modules.padding import follow_padding
from lit_hf.modules.text_classification import TextClassifier
from lit_hf.positions import default_length, positions_of
from lit_hf.processor_files import data_description, write_processor
from lit_hf.processors import (
    load_config,
    load_image_processor,
    load_tokenizer,
    pixel_settings,
)
from lit_hf.special_tokens import KEY, settled
from lit_hf.unfinished import OTHER_SCRATCH, scratch_folder
from lit_hf.write_errors import naming

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedConfig, PreTrainedTokenizerBase

_PROBLEMS: dict[str, ProblemType] = {
    "single_label_classification": "single_label",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}


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
        self.tokenizer = tokenizer
        self._has_told_unknown = False
        self._inputs = self._inputs_of(dict(inputs or {}))

    def _inputs_of(self, settings: Mapping[str, object]) -> Inputs:
        """How items become batches, by the task; where training is not known, as by default."""
        if isinstance(self.module, ImageClassifier):
            return ImageInputs(pixel_settings(cast("BaseImageProcessor", self.tokenizer)))
        own = cast("PreTrainedTokenizerBase", self.tokenizer)
        config, tokenizer = self.module.model.config, settled(own)
        if tokenizer is not own:  # a copy of a plain one, for which training asks as well
            ask_for_segments(tokenizer, config)
        self.tokenizer = tokenizer = padded_at_the_end(tokenizer, config)
        follow_padding(config, cast("int", tokenizer.pad_token_id))
        given = settings.get("max_length")  # earlier exports name it as the tokenizer's limit
        usual = default_length(tokenizer, config)
        if not isinstance(self.module, TextClassifier):
            usual = 512 if isinstance(self.module, GenerativeQA) else min(384, usual)
        longest = given if isinstance(given, int) and given > 0 else usual
        longest = min(longest, positions_of(config) or longest)
        if isinstance(self.module, TextClassifier):
            return TextInputs(tokenizer, longest, settings)
        overlap = settings.get("doc_stride")
        stride = overlap if isinstance(overlap, int) else min(128, longest // 2)
        if not isinstance(self.module, GenerativeQA):
            return QuestionInputs(tokenizer, longest, stride)
        self.module.tokenizer = tokenizer
        prompt = str(settings.get("prompt") or DEFAULT_PROMPT)
        return PromptInputs(tokenizer, PromptSettings(prompt, longest, stride, longest))

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
            checkpoint = read_whole(path)
            module = load_module(path, checkpoint)
            with scratch_folder() as folder, told_as_input(path):
                with naming(Path(folder), remedy=OTHER_SCRATCH):
                    held = write_processor(checkpoint, Path(folder))
                inputs = data_description(checkpoint).get("inputs")
                processor = _load_processor(module, folder if held else module.model_name, inputs)
        else:
            with told_as_input(path):
                module, inputs = _from_folder(str(path))
            processor = _load_processor(module, str(path), inputs)
        known = cast("Mapping[str, object]", inputs) if isinstance(inputs, Mapping) else {}
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
        if not self._has_told_unknown and not isinstance(self.module, ImageClassifier):
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


def _load_processor(
    module: HFModule, model_name: str, inputs: object
) -> "PreTrainedTokenizerBase | BaseImageProcessor":
    """The tokenizer or image processor of a model, and how it reads special tokens in texts.

    Where its files do not say that, how the data was read in training does; and where that does not
    either, lit_hf trained the model when they were still the real ones. What lit_hf trained on is
    what the files name as inputs.
    """
    if isinstance(module, ImageClassifier):
        return load_image_processor(model_name)
    is_ours = isinstance(inputs, Mapping)
    are_text = cast("Mapping[str, bool]", inputs).get(KEY, False) if is_ours else True
    tokenizer = load_tokenizer(model_name, are_text)
    if not is_ours:
        ask_for_segments(tokenizer, module.model.config)
    return tokenizer


def _from_folder(path: str) -> tuple[HFModule, object]:
    """The module of a trained folder, and how its data was read."""
    _check_is_model(Path(path))
    check_files(path)
    config = load_config(path)
    held = getattr(config, "task_specific_params", None)
    params = held if isinstance(held, dict) else {}
    kinds = config.architectures or []
    module: HFModule
    if ExtractiveQA.task in params or any(kind.endswith("QuestionAnswering") for kind in kinds):
        known = params.get(ExtractiveQA.task) or {}
        names = ("max_answer_length", "num_best", "no_answer_threshold")
        module = ExtractiveQA(path, **{name: known[name] for name in names if name in known})
    elif GenerativeQA.task in params or (
        config.is_encoder_decoder
        and any(kind.endswith("ForConditionalGeneration") for kind in kinds)
    ):
        known = params.get(GenerativeQA.task) or {}
        module = GenerativeQA(path, known.get("generation"))
    elif any(kind.endswith("ForImageClassification") for kind in kinds):
        module = ImageClassifier(path)
    else:
        module = TextClassifier(path, problem_type=_problem_of(path, config))
    module.configure_model()
    check_complete(module.model, path)
    return module, params.get(module.task)


def _check_is_model(folder: Path) -> None:
    """Refuse the folder of a run, around the folder of its model."""
    if not os.path.isdir(folder / "checkpoints") or (folder / "config.json").exists():
        return
    models = [config.parent for config in folder.glob("*/config.json")]
    found = sorted(models) or sorted(folder.glob("checkpoints/*.ckpt"))
    if found:
        raise InputError(f"{folder}: this is the folder of a run; give its model, {found[0]}.")


def _problem_of(path: str, config: "PreTrainedConfig") -> ProblemType:
    """What the labels of a trained folder are; a head of one output gives a number.

    Raises:
        InputError: if it holds no trained classifier, whose answers would be random.
    """
    kinds = config.architectures or []
    trained = ("ForSequenceClassification", BackboneWithHead.__name__)
    if kinds and not any(kind.endswith(trained) for kind in kinds):
        raise InputError(
            f"{path}: holds no trained model of a known task ({', '.join(MODULES)}) but "
            f"{', '.join(kinds)}."
        )
    found = _PROBLEMS.get(str(config.problem_type))
    return found or ("regression" if config.num_labels == 1 else "single_label")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"`device` {name!r} cannot be used here: {error}") from error
    return device
