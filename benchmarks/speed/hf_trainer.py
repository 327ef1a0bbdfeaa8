"""HF Trainer on the same rows, with its default flags and with its best ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback
from transformers.trainer_utils import set_seed
from transformers.utils.import_utils import is_torch_tf32_available

from benchmarks.speed.hf_rows import Prepared, prepare
from benchmarks.speed.setting import Setting, forget_peak, give_back, peak, settle
from benchmarks.speed.turns import end_turn, now
from benchmarks.speed.work import Counts, Work, model_of

Flags = dict[str, Any]
_PRECISIONS = {"bf16-mixed": "bf16", "16-mixed": "fp16"}


class _Clock(TrainerCallback):
    """Seconds from the beginning of each epoch to the end of its last step."""

    start = 0.0
    seconds = 0.0

    def on_epoch_begin(self, *_: object, **__: object) -> None:
        """Begin."""
        settle()
        self.start = now()

    def on_epoch_end(self, *_: object, **__: object) -> None:
        """Add the epoch."""
        settle()
        self.seconds += now() - self.start

    def on_step_end(self, *_: object, **__: object) -> None:
        """A step is done."""
        end_turn()

    def on_prediction_step(self, *_: object, **__: object) -> None:
        """An evaluated batch is done."""
        end_turn()


def default_flags(work: Work, setting: Setting) -> Flags:
    """None but those that every training sets: single precision, rows in random order."""
    return {}


def best_flags(work: Work, setting: Setting) -> Flags:
    """What makes it fast: half precision, texts of like length together, no waiting for the GPU."""
    has_workers = setting.num_workers > 0
    return {
        _PRECISIONS[setting.precision]: True,
        "tf32": True if is_torch_tf32_available() else None,
        "train_sampling_strategy": "group_by_length" if work.is_text else "random",
        "optim": "adamw_torch_fused",
        "logging_nan_inf_filter": False,  # which reads the loss of each step
        "dataloader_num_workers": setting.num_workers,
        "dataloader_persistent_workers": has_workers,
        "accelerator_config": {"non_blocking": setting.accelerator == "gpu"},
    }


def hf_trainer(
    work: Work,
    folder: Path,
    model_name: str,
    setting: Setting,
    flags_of: Callable[[Work, Setting], Flags],
) -> Counts:
    """Train, evaluate and perhaps predict.

    An evaluation is all up to the scores. It is done by a Trainer of its own: one that has trained
    holds on to its optimizer, and goes through rows to evaluate in another order than theirs.

    Args:
        work: what is trained on.
        folder: with the rows.
        model_name: folder or Hub id.
        setting: where and how.
        flags_of: the flags of the training arguments that are not the work's.
    """
    set_seed(0)
    flags = flags_of(work, setting)
    is_short = flags.get("train_sampling_strategy") == "group_by_length"
    rows = prepare(work, folder, model_name, setting, is_short)
    model = model_of(work, model_name)
    if work.max_answer:
        model.generation_config.max_new_tokens = work.max_answer
    clock = _Clock()

    def trainer(**changes: object) -> Seq2SeqTrainer:
        return Seq2SeqTrainer(
            model=model,
            args=_arguments(work, folder, setting, {**flags, **changes}),
            train_dataset=rows.train,
            data_collator=rows.collate,
            callbacks=[clock],
        )

    learner = trainer()
    forget_peak()
    learner.train()
    num_trained = float(len(rows.train) * work.epochs)
    trained = {"rows": num_trained, "tokens": rows.num_tokens * work.epochs}
    counts: Counts = {"train": {**trained, "seconds": clock.seconds, **peak()}}
    del learner
    give_back()
    evaluator = trainer(train_sampling_strategy="sequential")
    counts["validate"] = _timed(lambda: _scored(evaluator, rows))
    if "predict" in setting.verbs:
        bare = rows.val.remove_columns([*rows.truth])
        counts["predict"] = _timed(lambda: _predicted(evaluator, bare))
    return counts


def _arguments(
    work: Work, folder: Path, setting: Setting, flags: Flags
) -> Seq2SeqTrainingArguments:
    return Seq2SeqTrainingArguments(
        output_dir=str(folder / "trainer"),
        use_cpu=setting.accelerator == "cpu",
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
        label_names=list(work.labels),
        remove_unused_columns=work.is_text,
        predict_with_generate=work.max_answer > 0,
        **flags,
    )


def _timed(act: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What an act has counted, its seconds and the most memory of the GPU that it used."""
    forget_peak()
    settle()
    start = now()
    found = act()
    settle()
    return {**found, "seconds": now() - start, **peak()}


def _scored(evaluator: Seq2SeqTrainer, rows: Prepared) -> dict[str, float]:
    found = evaluator.predict(rows.val)
    start = now()
    scores = rows.score(found)
    return {"rows": float(len(rows.val)), **scores, "scoring": now() - start}


def _predicted(evaluator: Seq2SeqTrainer, rows: Any) -> dict[str, float]:  # noqa: ANN401 - a Dataset
    evaluator.predict(rows)
    return {"rows": float(len(rows))}
