"""Score the disaster tweets over three seeds, on one fixed split of the Kaggle training file.

    python -m benchmarks.score_tweets TRAIN_CSV --model FOLDER_OR_HUB_ID

The split is `datasets`' `train_test_split(0.2, seed=0)`, so that scores compare with those of HF
Trainer on the same rows. Settings: 3 epochs, batch 32, learning rate 5e-5, warm-up 10%, linear,
weight decay 0.01, 128 tokens. Prints one line a seed and writes `benchmarks/results/`.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import lightning.pytorch as pl
from datasets import load_dataset
from torch.optim import AdamW

from benchmarks.record import record
from lit_hf import CPUSpeed, PruneLastLayer, TextClassifier, TweetDataModule


def train(model: str, folder: Path, seed: int, precision: str) -> dict[str, float]:
    """Fine-tune once; the scores of the last epoch and the training rows a second."""
    pl.seed_everything(seed)
    data = TweetDataModule(
        model,
        train_file=str(folder / "train.csv"),
        val_file=str(folder / "val.csv"),
        seed=seed,
    )
    module = TextClassifier(
        model,
        label_names=["0", "1"],
        optimizer=lambda params: AdamW(params, lr=5e-5, weight_decay=0.01, fused=True),
        warmup_ratio=0.1,
    )
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        precision=precision,  # type: ignore[arg-type]  # the command line's word
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        enable_model_summary=False,
        callbacks=[CPUSpeed(), PruneLastLayer()],
    )
    start = time.perf_counter()
    trainer.fit(module, data)
    seconds = time.perf_counter() - start
    rows = 3 * data.splits["train"].num_rows
    evaluation = pl.Trainer(
        accelerator="cpu",
        precision=precision,  # type: ignore[arg-type]  # the command line's word
        logger=False,
        callbacks=[CPUSpeed(), PruneLastLayer()],
    )
    data = TweetDataModule(model, val_file=str(folder / "val.csv"), label_names=["0", "1"])
    scores = evaluation.validate(module, data, verbose=False)[0]
    return {
        "seed": seed,
        "accuracy": scores["val/accuracy"],
        "f1": scores["val/f1"],
        "num_examples": scores["val/num_examples"],
        "rows_per_second": rows / seconds,
    }


def main() -> None:
    """Run all seeds and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train_csv", help="Kaggle's train.csv")
    parser.add_argument("--model", required=True, help="folder or Hub id of the encoder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--precision", default="bf16-mixed", help="as Lightning calls it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = load_dataset(
            "csv", data_files=options.train_csv, split="train", keep_default_na=False
        )
        parts = rows.train_test_split(0.2, seed=0)
        parts["train"].to_csv(folder / "train.csv")
        parts["test"].to_csv(folder / "val.csv")
        runs = []
        for seed in options.seeds:
            runs.append(train(options.model, folder, seed, options.precision))
            print(json.dumps(runs[-1]), flush=True)
    summary = {
        "precision": options.precision,
        "runs": runs,
        "mean_accuracy": statistics.mean(run["accuracy"] for run in runs),
        "mean_f1": statistics.mean(run["f1"] for run in runs),
    }
    record("score_tweets", summary)
    print(f"mean accuracy {summary['mean_accuracy']:.4f}, mean f1 {summary['mean_f1']:.4f}")


if __name__ == "__main__":
    main()
