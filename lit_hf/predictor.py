"""Predictor: a trained folder or checkpoint to answers, for notebooks and services."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch

from lit_hf.batches import Prediction
from lit_hf.callbacks.export import data_description, load_module, write_processor
from lit_hf.checkpoints import read_checkpoint
from lit_hf.data.tokens import encode_batch, pad_tokens
from lit_hf.errors import InputError
from lit_hf.modules.text_classification import TextClassifier
from lit_hf.processors import load_config, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Item = str | tuple[str, str] | Mapping[str, object]


class Predictor:
    """Answers for texts, the same as `lit-hf predict` writes.

    Args:
        module: a trained module; it is put into evaluation mode.
        tokenizer: the tokenizer it was trained with; its `model_max_length` is the longest text.
        columns: how a row that is a dict becomes a text: `text_column`, `pair_column` and
            `text_template` as in training.
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
            problems = {"multi_label_classification": "multi_label", "regression": "regression"}
            problem = problems.get(str(config.problem_type), "single_label")
            module = TextClassifier(str(path), problem_type=problem)  # type: ignore[arg-type]
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
            For each item in order `prediction`, `probability` and `probabilities` by name.
        """
        if isinstance(items, str | tuple | Mapping):
            items = [items]
        texts = [self._texts(number, item) for number, item in enumerate(items)]
        order = sorted(range(len(texts)), key=lambda i: sum(map(len, texts[i])))
        answers: list[Prediction] = [{} for _ in texts]
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            for row, answer in zip(rows, self._answer([texts[i] for i in rows]), strict=True):
                answers[row] = {k: v for k, v in answer.items() if k not in ("id", "index")}
        return answers

    def _texts(self, number: int, item: Item) -> tuple[str, ...]:
        if isinstance(item, str):
            return (item,)
        if isinstance(item, tuple) and len(item) == 2 and all(isinstance(t, str) for t in item):
            return item
        if isinstance(item, Mapping):
            template = self.columns.get("text_template")
            names = [self.columns.get("text_column") or "text", self.columns.get("pair_column")]
            try:
                if template:
                    filled = {k: "" if v is None else v for k, v in item.items()}
                    parts = [str(template).format(**filled).strip()]
                else:
                    parts = [str(item[str(names[0])])]
                return (*parts, *(str(item[str(name)]) for name in names[1:] if name))
            except KeyError as error:
                raise InputError(f"item {number}: no column {error}; found {list(item)}.") from None
        raise InputError(
            f"item {number}: wanted a text, a pair of texts or a dict of columns, but got {item!r}."
        )

    def _answer(self, texts: Sequence[tuple[str, ...]]) -> list[Prediction]:
        if len({len(parts) for parts in texts}) > 1:
            raise InputError("single texts and pairs are mixed in one call; send them apart.")
        columns: dict[str, list[object]] = {"text": [parts[0] for parts in texts]}
        if len(texts[0]) == 2:
            columns["pair"] = [parts[1] for parts in texts]
        limit = min(self.tokenizer.model_max_length, 10**6)
        encoded = encode_batch(columns, self.tokenizer, limit)
        batch = pad_tokens(encoded, self.tokenizer)
        device = self.module.device
        moved = {name: value.to(device) for name, value in batch.items()}
        with torch.inference_mode():
            logits = self.module(moved).logits.float()
        return self.module.predictions({}, logits)
