"""A batch whose rows do not suffice for all processes: the gradient is that of its rows.

A small script takes one step with two gloo processes, and its function once more in this process
with one. A step is the gradient: plain SGD with a rate of 1 and no dropout, in float64.
"""

import runpy
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from tests.processes import run_script

TASKS = ("text", "image", "extractive", "generative")
EVEN, UNEVEN = 4, 3

SCRIPT = """
import sys, warnings

import lightning.pytorch as pl
import torch

from lit_hf import (
    ExtractiveQA, ExtractiveQADataModule, GenerativeQA, GenerativeQADataModule,
    ImageClassificationDataModule, ImageClassifier, TextClassificationDataModule, TextClassifier,
)

OFF = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
WORDS = "fire flood storm quake".split()


def row_of(task, n):
    if task == "image":
        pixels = torch.arange(192, dtype=torch.uint8).roll(50 * n).view(8, 8, 3)
        return {"image": pixels.numpy(), "label": "abbb"[n]}
    text = " ".join(WORDS[n:] + WORDS[:n])
    if task == "text":
        return {"text": text, "label": "abbb"[n]}
    return {"question": "which word?", "context": text, "answers": [WORDS[n]]}


def make(task, model, batch_size):
    settings = {
        "optimizer": lambda params: torch.optim.SGD(params, lr=1.0), "scheduler": "constant",
        "config_overrides": {"dropout_rate": 0.0} if task == "generative" else OFF,
    }
    sizes = {"batch_size": batch_size, "val_fraction": 0}
    names = {"label_names": ["a", "b"]}
    if task == "text":
        data = TextClassificationDataModule(model, **names, **sizes)
        return TextClassifier(model, **names, **settings), data
    if task == "image":
        data = ImageClassificationDataModule(model, augmentations=[], **names, **sizes)
        return ImageClassifier(model, **names, **settings), data
    sizes.update(max_length=48, doc_stride=8)
    if task == "extractive":
        return ExtractiveQA(model, **settings), ExtractiveQADataModule(model, **sizes)
    return GenerativeQA(model, **settings), GenerativeQADataModule(model, **sizes)


class Begin(pl.Callback):
    def on_train_start(self, trainer, pl_module):
        self.weights = weights_of(pl_module)


def weights_of(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def run(folder, devices):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = {}
    for task in ("text", "image", "extractive", "generative"):
        for num_rows in (4, 3):
            pl.seed_everything(0, verbose=False)
            module, data = make(task, f"{folder}/{task}", 4 // devices)
            begin = Begin()
            trainer = pl.Trainer(
                accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto",
                max_epochs=1, precision="64-true", logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
                callbacks=[begin],
            )
            trainer.fit(module, data.with_rows(train=[row_of(task, n) for n in range(num_rows)]))
            assert trainer.global_step == 1
            found[f"{task} {num_rows}"] = begin.weights, begin.weights - weights_of(module)
    torch.save(found, f"{folder}/found-{devices}-{trainer.global_rank}.pt")
    torch.set_num_threads(threads)


if __name__ == "__main__":
    run(sys.argv[1], 2)
"""

Found = dict[str, tuple[Tensor, Tensor]]


@pytest.fixture(scope="module")
def found(
    tiny_model: str, tiny_vit: str, tiny_t5: str, tmp_path_factory: pytest.TempPathFactory
) -> list[Found]:
    """Weights and gradients of one process, and of each of two."""
    folder = tmp_path_factory.mktemp("last_batches")
    models = {"image": tiny_vit, "generative": tiny_t5}
    for task in TASKS:
        (folder / task).symlink_to(models.get(task, tiny_model))
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    run_script(script, str(folder))
    runpy.run_path(str(script))["run"](str(folder), 1)
    paths = [Path(folder, f"found-{name}.pt") for name in ("1-0", "2-0", "2-1")]
    return [cast("Found", torch.load(path)) for path in paths]


def _assert_one_gradient(found: list[Found], task: str, num_rows: int) -> None:
    (begin, wanted), *others = (process[f"{task} {num_rows}"] for process in found)
    for weights, gradient in others:
        assert torch.equal(weights, begin)
        assert float((gradient - wanted).norm() / wanted.norm()) < 1e-6


@pytest.mark.parametrize("task", TASKS)
def test_gradient__of_rows_that_suffice_is_that_of_one_process(
    found: list[Found], task: str
) -> None:
    assert all(float(process[f"{task} {EVEN}"][1].norm()) > 1e-3 for process in found)
    _assert_one_gradient(found, task, EVEN)


@pytest.mark.parametrize("task", TASKS)
def test_gradient__of_rows_that_do_not_suffice_is_that_of_one_process(
    found: list[Found], task: str
) -> None:
    _assert_one_gradient(found, task, UNEVEN)
