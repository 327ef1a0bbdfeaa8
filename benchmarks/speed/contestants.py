"""One who trains, evaluates and predicts once, in a process of its own; prints JSON.

    python -m benchmarks.speed.contestants WHO WORK FOLDER MODEL

WHO is `lit_hf` (the command with its recipe, bf16-mixed), `trainer` (HF Trainer with its default
flags), `trainer_best` (HF Trainer with bf16, batches of like length and padding to the longest of a
batch) or `loop` (a plain PyTorch loop over the batches of lit_hf's data module, with the model as
CPUSpeed leaves it; what it does not do is what the framework costs).
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from datasets import load_dataset
from torch import Tensor, nn
from torch.optim import AdamW
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)
from transformers.trainer_utils import set_seed

from benchmarks.speed.work import RECIPES, WORKS, Work
from lit_hf import ExtractiveQADataModule, HFDataModule, TweetDataModule
from lit_hf.callbacks.cpu_speed import keep_memory
from lit_hf.cli import main as command
from lit_hf.modules.cpu import hasten

Counts = dict[str, dict[str, float]]
_LABELS = {"tweets": ("labels",), "squad": ("start_positions", "end_positions")}


def lit_hf(name: str, folder: Path, model: str) -> Counts:
    """The command: fit without validations, then validate and predict."""
    work, run = WORKS[name], str(folder / "run")
    clock = (
        *("--import", "benchmarks.speed.clock"),
        *("--trainer.callbacks+", "benchmarks.speed.clock.Clock"),
    )
    train, val = str(folder / work.train), str(folder / work.val)
    given = (
        *("--config", str(RECIPES / work.recipe), "--model.model_name", model),
        *("--data.train_file", train, "--data.val_file", val),
        *("--data.batch_size", str(work.batch_size), "--model.optimizer.lr", str(work.lr)),
        *("--data.eval_batch_size", str(work.eval_batch_size)),
        *("--trainer.default_root_dir", run, "--trainer.precision", "bf16-mixed"),
        *("--trainer.max_epochs", "1", "--trainer.limit_val_batches", "0"),
        *("--checkpoint.monitor", "null", "--trainer.accelerator", "cpu"),
    )
    once = ("--trainer.limit_val_batches", "1.0")
    for words in (
        ("fit", *given, *clock),
        ("validate", "--run", run, *once),
        ("predict", "--run", run, "--data.predict_file", val),
    ):
        if command(words):
            raise SystemExit(f"lit-hf {words[0]} failed")
    return cast("Counts", json.loads((folder / "run" / "clock.json").read_text(encoding="utf-8")))


def loop(name: str, folder: Path, model_name: str) -> Counts:
    """A plain loop over the same batches, which counts nothing and shows nothing."""
    work = WORKS[name]
    set_seed(0)
    keep_memory()
    kind = TweetDataModule if name == "tweets" else ExtractiveQADataModule
    data: HFDataModule = kind(
        model_name,
        train_file=str(folder / work.train),
        val_file=str(folder / work.val),
        batch_size=work.batch_size,
        max_length=work.max_length,
    )
    loader = data.train_dataloader()
    model = _model(name, model_name)
    hasten(model)
    model.train()
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = AdamW(groups, lr=work.lr, weight_decay=0.01, fused=True)
    names = ("input_ids", "attention_mask", "token_type_ids")
    counts = {"rows": 0.0, "tokens": 0.0, "padded": 0.0}
    start = time.perf_counter()
    for batch in cast("Iterator[Mapping[str, Tensor]]", iter(loader)):
        inputs = {key: batch[key] for key in names}
        if name == "tweets":
            labels = {"labels": batch["labels"]}
        else:
            labels = {"start_positions": batch["first_token"], "end_positions": batch["last_token"]}
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**inputs, **labels).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        counts["rows"] += len(batch["input_ids"])
        counts["tokens"] += int(batch["attention_mask"].sum())
        counts["padded"] += batch["attention_mask"].numel()
    return {"train": {**counts, "seconds": time.perf_counter() - start}}


def _model(name: str, model_name: str) -> PreTrainedModel:
    if name == "tweets":
        model = AutoModelForSequenceClassification.from_pretrained(model_name, num_labels=2)
    else:
        model = AutoModelForQuestionAnswering.from_pretrained(model_name)
    return cast("PreTrainedModel", model)


class _Clock(TrainerCallback):
    """When the first step of a training begins and the last ends."""

    start = 0.0
    seconds = 0.0

    def on_train_begin(self, *_: object, **__: object) -> None:
        """Begin."""
        self.start = time.perf_counter()

    def on_step_end(self, *_: object, **__: object) -> None:
        """Look at the clock."""
        self.seconds = time.perf_counter() - self.start


def hf_trainer(name: str, folder: Path, model_name: str, is_best: bool) -> Counts:
    """HF Trainer, with its default flags or with those that make it fastest on a CPU."""
    work = WORKS[name]
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(model_name)
    encode = _encode_texts if name == "tweets" else _encode_windows
    kind = "csv" if name == "tweets" else "json"
    padding = is_best or "max_length"
    files = {"train": str(folder / work.train), "val": str(folder / work.val)}
    loaded = load_dataset(kind, data_files=files)
    encoded = {
        split: rows.map(
            lambda batch: encode(batch, tokenizer, work, padding is True),
            batched=True,
            remove_columns=rows.column_names,
        )
        for split, rows in loaded.items()
    }
    collate: Callable[[Any], Any] = default_data_collator
    if name == "tweets" or is_best:  # its examples pad tweets to the longest, windows to 384
        collate = DataCollatorWithPadding(tokenizer)
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        use_cpu=True,
        per_device_train_batch_size=work.batch_size,
        per_device_eval_batch_size=work.eval_batch_size,
        num_train_epochs=1,
        learning_rate=work.lr,
        weight_decay=0.01,
        warmup_steps=0.1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        label_names=list(_LABELS[name]),
        bf16=is_best,
        train_sampling_strategy="group_by_length" if is_best else "random",
    )
    clock = _Clock()
    trainer = Trainer(
        model=_model(name, model_name),
        args=arguments,
        train_dataset=encoded["train"],
        eval_dataset=encoded["val"],
        data_collator=collate,
        callbacks=[clock],
    )
    trainer.train()
    counts = {"train": {"rows": float(len(encoded["train"])), "seconds": clock.seconds}}
    start = time.perf_counter()
    trainer.evaluate()
    middle = time.perf_counter()
    trainer.predict(encoded["val"].remove_columns(list(_LABELS[name])))
    ends = {"validate": middle - start, "predict": time.perf_counter() - middle}
    rows = float(len(encoded["val"]))
    return counts | {stage: {"rows": rows, "seconds": took} for stage, took in ends.items()}


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


WHO: dict[str, Callable[[str, Path, str], Counts]] = {
    "lit_hf": lit_hf,
    "trainer_best": lambda name, folder, model: hf_trainer(name, folder, model, True),
    "trainer": lambda name, folder, model: hf_trainer(name, folder, model, False),
    "loop": loop,
}


def main() -> None:
    """Run one and print what it counted."""
    who, name, folder, model = sys.argv[1:]
    counts: dict[str, Any] = dict(WHO[who](name, Path(folder), model))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts["peak_mib"] = used / (2**20 if sys.platform == "darwin" else 2**10)
    print("COUNTS " + json.dumps(counts))


if __name__ == "__main__":
    main()
