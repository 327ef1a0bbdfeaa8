"""HF Trainer on the same rows, with its default flags and with its best ones on a CPU."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, load_dataset
from transformers import (
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)
from transformers.trainer_utils import set_seed

from benchmarks.speed.turns import end_turn, now
from benchmarks.speed.work import LABELS, WORKS, Counts, Work, model_of
from lit_hf.processors import load_image_processor


class _Clock(TrainerCallback):
    """Seconds from the beginning of each epoch to the end of its last step."""

    start = 0.0
    before = 0.0
    seconds = 0.0

    def on_epoch_begin(self, *_: object, **__: object) -> None:
        """Begin."""
        self.before, self.start = self.seconds, now()

    def on_step_end(self, *_: object, **__: object) -> None:
        """Look at the clock."""
        self.seconds = self.before + now() - self.start
        end_turn()

    def on_prediction_step(self, *_: object, **__: object) -> None:
        """An evaluated batch is done."""
        end_turn()


def hf_trainer(name: str, folder: Path, model_name: str, is_best: bool) -> Counts:
    """Train, evaluate and predict.

    Args:
        name: of the work.
        folder: with the rows.
        model_name: folder or Hub id.
        is_best: with bf16 and, of texts, batches of like length, padded to their longest.
    """
    work = WORKS[name]
    set_seed(0)
    is_text = name != "images"
    rows, collate = (
        _texts(name, folder, model_name, is_best) if is_text else _images(folder, model_name)
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        use_cpu=True,
        per_device_train_batch_size=work.batch_size,
        per_device_eval_batch_size=work.eval_batch_size,
        num_train_epochs=work.epochs,
        learning_rate=work.lr,
        weight_decay=0.01,
        warmup_steps=0.1,
        label_smoothing_factor=work.label_smoothing,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        label_names=list(LABELS[name]),
        remove_unused_columns=is_text,
        bf16=is_best,
        train_sampling_strategy="group_by_length" if is_best and is_text else "random",
    )
    clock = _Clock()
    trainer = Trainer(
        model=model_of(name, model_name),
        args=arguments,
        train_dataset=rows["train"],
        eval_dataset=rows["val"],
        data_collator=collate,
        callbacks=[clock],
    )
    trainer.train()
    num_trained = float(len(rows["train"]) * work.epochs)
    counts = {"train": {"rows": num_trained, "seconds": clock.seconds}}
    start = now()
    trainer.evaluate()
    middle = now()
    trainer.predict(rows["val"].remove_columns(["label"] if name == "images" else LABELS[name]))
    ends = {"validate": middle - start, "predict": now() - middle}
    num_rows = float(len(rows["val"]))
    counts |= {stage: {"rows": num_rows, "seconds": took} for stage, took in ends.items()}
    if name != "squad":
        found = trainer.predict(rows["val"])  # under group_by_length in another order than the rows
        is_right = np.argmax(found.predictions, axis=-1) == found.label_ids
        counts["validate"]["accuracy"] = float(is_right.mean())
    return counts


_Rows = tuple[DatasetDict, Callable[[Any], Any]]


def _texts(name: str, folder: Path, model_name: str, is_best: bool) -> _Rows:
    """Encoded rows and what makes batches; its examples pad windows to 384, not tweets."""
    work = WORKS[name]
    tokenizer = AutoTokenizer.from_pretrained(model_name)
    encode = _encode_texts if name == "tweets" else _encode_windows
    files = {"train": str(folder / work.train), "val": str(folder / work.val)}
    loaded = load_dataset("csv" if name == "tweets" else "json", data_files=files)
    encoded = DatasetDict(
        {
            split: rows.map(
                lambda batch: encode(batch, tokenizer, work, is_best),
                batched=True,
                remove_columns=rows.column_names,
            )
            for split, rows in loaded.items()
        }
    )
    is_padded = name == "squad" and not is_best
    return encoded, default_data_collator if is_padded else DataCollatorWithPadding(tokenizer)


def _images(folder: Path, model_name: str) -> _Rows:
    """Images that the image processor prepares when a batch is made; they are not augmented."""
    work = WORKS["images"]
    processor = load_image_processor(model_name)
    files = {"train": str(folder / work.train), "val": str(folder / work.val)}

    def prepared(batch: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(processor(batch["img"], return_tensors="pt"))
        return {**found, "labels": batch["label"]} if "label" in batch else found

    loaded = load_dataset("parquet", data_files=files)
    rows: dict[Any, Dataset] = {
        split: part.with_transform(prepared) for split, part in loaded.items()
    }
    return DatasetDict(rows), default_data_collator


def _encode_texts(
    batch: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, work: Work, is_short: bool
) -> dict[str, Any]:
    texts = tokenizer(batch["text"], truncation=True, max_length=work.max_length)
    return {**texts, "labels": batch["target"]}


def _encode_windows(
    batch: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, work: Work, is_short: bool
) -> dict[str, Any]:
    """Windows with the places of their answers, 0 and 0 where a window does not hold it."""
    windows = tokenizer(
        batch["question"],
        batch["context"],
        truncation="only_second",
        max_length=work.max_length,
        stride=128,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding=False if is_short else "max_length",
    )
    starts, ends = [], []
    for number, owner in enumerate(windows.pop("overflow_to_sample_mapping")):
        answer = batch["answers"][owner]
        first = answer["answer_start"][0]
        last = first + len(answer["text"][0])
        sequence = windows.sequence_ids(number)
        offsets = windows["offset_mapping"][number]
        own = [token for token, part in enumerate(sequence) if part == 1]
        is_whole = offsets[own[0]][0] <= first and offsets[own[-1]][1] >= last
        starts.append(max(t for t in own if offsets[t][0] <= first) if is_whole else 0)
        ends.append(min(t for t in own if offsets[t][1] >= last) if is_whole else 0)
    windows.pop("offset_mapping")
    return {**windows, "start_positions": starts, "end_positions": ends}
