"""Predictor: a trained folder or checkpoint to answers, for notebooks and services."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import torch

from lit_hf.batches import Prediction
from lit_hf.callbacks.export import data_description, load_module, write_processor
from lit_hf.checkpoints import read_checkpoint
from lit_hf.data.examples import template_columns
from lit_hf.data.tokens import encode_batch, pad_tokens
from lit_hf.errors import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.functional.text import printable
from lit_hf.modules.heads import BackboneWithHead
from lit_hf.modules.text_classification import TextClassifier
from lit_hf.processors import load_config, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

Item = str | tuple[str, str] | Mapping[str, object]
_PROBLEMS: dict[str, ProblemType] = {
    "single_label_classification": "single_label",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}


class Predictor:
    """Answers for texts, the same as `lit-hf predict` writes.

    Args:
        module: a trained module; it is put into evaluation mode.
        tokenizer: the tokenizer it was trained with; its `model_max_length` is the longest text.
        columns: how a row that is a dict becomes a text: `text_column`, `pair_column` and
            `text_template` as in training.

    Raises:
        InputError: if the template is none.
    """

    def __init__(
        self,
        module: TextClassifier,
        tokenizer: "PreTrainedTokenizerBase",
        columns: Mapping[str, object] | None = None,
    ) -> None:
        self.module = module
        self.module.train(False)
        self.tokenizer = tokenizer
        self.columns = dict(columns or {})
        self._template = str(self.columns.get("text_template") or "")
        self._template_names = template_columns(self._template)
        self._is_paired: bool | None = None  # not known
        if self._template or self.columns.get("text_column"):
            self._is_paired = bool(self.columns.get("pair_column"))

    @classmethod
    def from_pretrained(cls, path: str | Path, device: str = "cpu") -> Self:
        """Load a trained folder (`runs/x/pretrained`) or a checkpoint (`….ckpt`), offline.

        Args:
            path: the folder, checkpoint or Hub id.
            device: where to run, such as "cuda".

        Raises:
            InputError: if it cannot be loaded.
        """
        if str(path).endswith(".ckpt"):
            checkpoint = read_checkpoint(path)
            module = load_module(path, checkpoint)
            with tempfile.TemporaryDirectory() as folder:
                held = write_processor(checkpoint, Path(folder))
                tokenizer = load_tokenizer(folder if held else module.model_name)
            columns: Mapping[str, object] = data_description(checkpoint)
        else:
            config = load_config(str(path))
            module = TextClassifier(str(path), problem_type=_problem_of(str(path), config))
            module.configure_model()
            tokenizer = load_tokenizer(str(path))
            params = getattr(config, "task_specific_params", None) or {}
            columns = params.get(TextClassifier.task) or {}
        assert isinstance(module, TextClassifier)
        return cls(module.to(device), tokenizer, columns)

    def __call__(self, items: Item | Sequence[Item], batch_size: int = 64) -> list[Prediction]:
        """Answer each text.

        Args:
            items: texts, pairs of texts, or rows (dicts of columns) as in training; one alone is
                taken as a list of one.
            batch_size: texts run at once.

        Returns:
            For each item in order `prediction`, and for classes `probability` and `probabilities`
            by name.

        Raises:
            InputError: naming the item that is none, or that is no pair where others are.
        """
        if batch_size < 1:
            raise InputError(f"Expected `batch_size` to be at least 1, but got {batch_size}.")
        if isinstance(items, str | tuple | Mapping):
            items = [cast("Item", items)]
        if not isinstance(items, Iterable) or hasattr(items, "iterrows"):
            raise InputError(
                "wanted a list of texts, pairs of texts or dicts of columns (of a pandas frame: "
                f"`frame.to_dict('records')`), but got a {type(items).__name__}."
            )
        texts = [self._texts(number, item) for number, item in enumerate(items)]
        self._check_pairs(texts)
        order = sorted(range(len(texts)), key=lambda i: sum(map(len, texts[i])))
        answers: list[Prediction] = [{} for _ in texts]
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            for row, answer in zip(rows, self._answer([texts[i] for i in rows]), strict=True):
                answers[row] = {k: v for k, v in answer.items() if k not in ("id", "index")}
        return answers

    def _texts(self, number: int, item: Item) -> tuple[str, ...]:
        if isinstance(item, str):
            parts: tuple[object, ...] = (item,)
        elif isinstance(item, tuple) and len(item) == 2:
            parts = item
        elif isinstance(item, Mapping):
            parts = self._columns_of(number, item)
        else:
            raise _no_item(number, item)
        for text in parts:
            if not isinstance(text, str):
                raise _no_item(number, item)
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise InputError(f"item {number}: the text holds half a surrogate pair.")
        return cast("tuple[str, ...]", parts)

    def _columns_of(self, number: int, row: Mapping[str, object]) -> tuple[object, ...]:
        """The texts of a row, as training reads them."""
        pair = self.columns.get("pair_column")
        names = self._template_names or [str(self.columns.get("text_column") or "text")]
        for name in [*names, *([str(pair)] if pair else [])]:
            if name not in row:
                raise InputError(f"item {number}: no column {name!r}; found {list(row)}.")
        second = (row[str(pair)],) if pair else ()
        if not self._template_names:
            return (row[names[0]], *second)
        cells = {name: row[name] for name in names}
        for name, cell in cells.items():
            if cell is None or cell != cell:
                cells[name] = ""
            elif not isinstance(cell, str | int | float):
                raise _no_item(number, row)
        return (self._template.format(**cells).strip(), *second)

    def _check_pairs(self, texts: Sequence[tuple[str, ...]]) -> None:
        kinds = {len(parts) == 2 for parts in texts}
        if len(kinds) > 1:
            raise InputError("single texts and pairs are mixed in one call; send them apart.")
        if self._is_paired is not None and kinds == {not self._is_paired}:
            wanted, given = ("pairs", "single texts") if self._is_paired else ("texts", "pairs")
            raise InputError(f"the model was trained on {wanted}, but got {given}.")

    def _answer(self, texts: Sequence[tuple[str, ...]]) -> list[Prediction]:
        columns: dict[str, list[object]] = {"text": [parts[0] for parts in texts]}
        if len(texts[0]) == 2:
            columns["pair"] = [parts[1] for parts in texts]
        encoded = encode_batch(columns, self.tokenizer, self._longest())
        batch = pad_tokens(encoded, self.tokenizer)
        device = self.module.device
        moved = {name: value.to(device) for name, value in batch.items()}
        with torch.inference_mode():
            logits = self.module(moved).logits.float()
        return self.module.predictions({}, logits)

    def _longest(self) -> int:
        """Longest text in tokens: as in training, else what model and tokenizer allow."""
        limit = self.tokenizer.model_max_length
        positions = getattr(self.module.model.config, "max_position_embeddings", None)
        if isinstance(positions, int) and positions > 0:
            limit = min(limit, positions)
        return limit if limit < 10**6 else 512


def _no_item(number: int, item: object) -> InputError:
    found = printable(repr(item), 100)
    return InputError(
        f"item {number}: wanted a text, a pair of texts or a dict of columns, but got {found}."
    )


def _problem_of(path: str, config: "PreTrainedConfig") -> ProblemType:
    """What the labels of a trained folder are; a head of one output gives a number.

    Raises:
        InputError: if it holds no trained classifier, whose answers would be random.
    """
    kinds = config.architectures or []
    trained = ("ForSequenceClassification", BackboneWithHead.__name__)
    if kinds and not any(kind.endswith(trained) for kind in kinds):
        raise InputError(f"{path}: holds no trained classifier but {', '.join(kinds)}.")
    found = _PROBLEMS.get(str(config.problem_type))
    return found or ("regression" if config.num_labels == 1 else "single_label")
