"""The same rows as HF Trainer reads them: encoded, made into batches, and scored.

Letters: N rows or windows, L tokens of the longest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, load_dataset
from transformers import (
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    default_data_collator,
)
from transformers.trainer_utils import PredictionOutput

from benchmarks.speed.hf_scores import class_scores, span_scores, text_scores
from benchmarks.speed.setting import Setting
from benchmarks.speed.work import Work
from lit_hf.pretrained.image_processors import load_image_processor

Columns = dict[str, Any]
PROMPT = "question: {question} context: {context}"


@dataclass(frozen=True)
class Prepared:
    """Rows for a Trainer.

    Attributes:
        train: training rows.
        val: rows to evaluate; under the best flags texts by length, which needs little padding.
        collate: makes a batch.
        score: the scores of what was predicted for `val`.
        truth: columns of `val` that a prediction does without.
        num_tokens: tokens of `train`, padding not counted.
    """

    train: Dataset
    val: Dataset
    collate: Callable[[Any], Any]
    score: Callable[[PredictionOutput], dict[str, float]]
    truth: tuple[str, ...]
    num_tokens: float = 0.0


def prepare(
    work: Work, folder: Path, model_name: str, setting: Setting, is_short: bool
) -> Prepared:
    """Read and encode the rows of a work.

    Args:
        work: what is trained on.
        folder: with its files.
        model_name: folder or Hub id.
        setting: where and how.
        is_short: batches are padded to their longest row; else windows to the longest there may be.
    """
    if not work.is_text:
        return _images(work, folder, model_name)
    tokenizer = AutoTokenizer.from_pretrained(model_name)
    is_padded = work.name == "squad" and not is_short
    encode = {"tweets": _texts, "squad": _windows, "t5": _prompts}[work.name]
    loaded = _loaded(work, folder)
    settings = {"tokenizer": tokenizer, "work": work, "is_padded": is_padded}
    rows = loaded.map(
        encode,
        batched=True,
        remove_columns=loaded["train"].column_names,
        fn_kwargs=settings,
    )
    val = rows["val"]
    if is_short:
        val = val.select(np.argsort([len(ids) for ids in val["input_ids"]], kind="stable"))
    golds = {} if work.name == "tweets" else _golds(loaded["val"])
    scores: dict[str, Callable[[PredictionOutput], dict[str, float]]] = {
        "tweets": class_scores,
        "squad": partial(span_scores, windows=val, golds=golds),
        "t5": partial(text_scores, tokenizer=tokenizer, rows=val, golds=golds),
    }
    collate: Callable[[Any], Any] = default_data_collator
    if not is_padded:
        kind = DataCollatorForSeq2Seq if work.name == "t5" else DataCollatorWithPadding
        collate = kind(tokenizer, pad_to_multiple_of=setting.multiple)
    num_tokens = float(sum(sum(mask) for mask in rows["train"]["attention_mask"]))
    return Prepared(rows["train"], val, collate, scores[work.name], work.labels, num_tokens)


def _loaded(work: Work, folder: Path) -> DatasetDict:
    files = {"train": str(folder / work.train), "val": str(folder / work.val)}
    kind = {".csv": "csv", ".jsonl": "json", ".parquet": "parquet"}[Path(work.train).suffix]
    return load_dataset(kind, data_files=files)


def _golds(rows: Dataset) -> dict[str, list[str]]:
    return {row["id"]: row["answers"]["text"] for row in rows}


def _images(work: Work, folder: Path, model_name: str) -> Prepared:
    """Images that the image processor prepares when a batch is made; they are not augmented."""
    processor = load_image_processor(model_name)

    def prepared(batch: Mapping[str, Any]) -> Columns:
        found = dict(processor(batch["img"], return_tensors="pt"))
        return {**found, "labels": batch["label"]} if "label" in batch else found

    rows = {split: part.with_transform(prepared) for split, part in _loaded(work, folder).items()}
    return Prepared(rows["train"], rows["val"], default_data_collator, class_scores, ("label",))


def _texts(
    batch: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, work: Work, is_padded: bool
) -> Columns:
    texts = tokenizer(batch["text"], truncation=True, max_length=work.max_length)
    return {**texts, "labels": batch["target"]}


def _prompts(
    batch: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, work: Work, is_padded: bool
) -> Columns:
    """Prompts with the first right answer to each, cut where they are too long."""
    pairs = zip(batch["question"], batch["context"], strict=True)
    texts = [PROMPT.format(question=question, context=context) for question, context in pairs]
    answers = [answer["text"][0] for answer in batch["answers"]]
    prompts = tokenizer(texts, truncation=True, max_length=work.max_length)
    labels = tokenizer(text_target=answers, truncation=True, max_length=work.max_answer)
    return {**prompts, "labels": labels["input_ids"], "id": batch["id"]}


def _windows(
    batch: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, work: Work, is_padded: bool
) -> Columns:
    """Windows with the places of their answers, 0 and 0 where a window does not hold it.

    For the scores they keep the question's `id`, its `context`, and where each token begins and
    ends in it, `char_starts` and `char_ends` [L], -1 for tokens that are not of it.
    """
    windows = tokenizer(
        batch["question"],
        batch["context"],
        truncation="only_second",
        max_length=work.max_length,
        stride=work.doc_stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="max_length" if is_padded else False,
    )
    owners, places = (windows.pop(n) for n in ("overflow_to_sample_mapping", "offset_mapping"))
    columns: Columns = {name: [] for name in (*work.labels, "char_starts", "char_ends")}
    for number, (owner, offsets) in enumerate(zip(owners, places, strict=True)):
        answer = batch["answers"][owner]
        first = answer["answer_start"][0]
        last = first + len(answer["text"][0])
        own = [token for token, part in enumerate(windows.sequence_ids(number)) if part == 1]
        is_whole = offsets[own[0]][0] <= first and offsets[own[-1]][1] >= last
        start = max(t for t in own if offsets[t][0] <= first) if is_whole else 0
        end = min(t for t in own if offsets[t][1] >= last) if is_whole else 0
        columns["start_positions"].append(start)
        columns["end_positions"].append(end)
        marked = np.full((len(offsets), 2), -1)
        marked[own] = [offsets[token] for token in own]
        columns["char_starts"].append(marked[:, 0])
        columns["char_ends"].append(marked[:, 1])
    named = {name: [batch[name][owner] for owner in owners] for name in ("id", "context")}
    return {**windows, **columns, **named}
