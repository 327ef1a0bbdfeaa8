"""Two processes that share the weights tell and learn the same as one that has them all.

A small script is run once with two gloo processes, and its function once more in this process with
one; the tests compare what both wrote down.
"""

import json
import runpy
import warnings
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning.pytorch.strategies import (
    ModelParallelStrategy,
)
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
)

from lit_hf import InputError, MeanHead
from lit_hf.checkpointing.reader import read_checkpoint
from lit_hf.cli.command import main
from lit_hf.distributed.fsdp import (
    configure_fsdp,
    is_sharded,
    layers_of,
    passes,
)
from tests.processes import run_script
from tests.trainers import MakeTrainer

Found = tuple[dict[str, Any], list[dict[str, Any]], Path]
TASKS = ("text", "extractive", "generative")

SCRIPT = """
import faulthandler, json, random, sys, warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import ModelParallelStrategy

from lit_hf import (
    ExtractiveQA, ExtractiveQADataModule, GenerativeQA, GenerativeQADataModule, FreezeBackbone,
    TextClassificationDataModule, TextClassifier,
)
from lit_hf.cli.command import main

TASKS = ("text", "extractive", "generative")
SIZES = {"text": (1, 7, 101)}
WORDS = "fire flood storm quake song movie game news people street old new".split()
OFF = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def rows_of(task, num_rows, longest=1):
    draw = random.Random(num_rows)
    rows = []
    for n in range(num_rows):
        words = draw.choices(WORDS, k=draw.randint(4, 12))
        row = {"id": str(n), "label": "ab"[n % 2]}
        if task == "text":
            row["text"] = " ".join(words)
        else:
            row["context"] = " ".join(words * draw.randint(1, longest))
            row |= {"question": "which word?", "answers": [words[1]]}
        rows.append(row)
    return rows


def make(folder, task, batch_size, **settings):
    model = f"{folder}/{task}"
    sizes = {"id_column": "id", "batch_size": batch_size, "eval_batch_size": 2, "val_fraction": 0}
    names = {"label_names": ["a", "b"]}
    windows = {"max_length": 64, "doc_stride": 16}
    more = {
        "optimizer": lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1),
        "warmup_ratio": 0.0,
        "config_overrides": {} if task == "generative" else OFF,
        **settings,
    }
    if task == "text":
        return TextClassifier(model, **names, **more), TextClassificationDataModule(
            model, **names, **sizes
        )
    if task == "extractive":
        return ExtractiveQA(model, **more), ExtractiveQADataModule(model, **windows, **sizes)
    module = GenerativeQA(model, generation={"max_new_tokens": 5}, **more)
    return module, GenerativeQADataModule(model, **windows, **sizes)


def trainer_of(folder, name, devices, parts=True, **settings):
    # As a bare Trainer is given it; the command line needs nothing but the strategy's name.
    shared = ModelParallelStrategy(
        data_parallel_size=2, tensor_parallel_size=1, save_distributed_checkpoint=not parts
    )
    return pl.Trainer(
        accelerator="cpu", devices=devices, strategy=shared if devices > 1 else "auto",
        logger=False, enable_progress_bar=False, enable_model_summary=False, max_epochs=2,
        gradient_clip_val=0.5, default_root_dir=f"{folder}/{name}-{devices}", **settings,
    )


def run(folder, devices):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = {}
    for task in TASKS:
        pl.seed_everything(0, verbose=False)
        module, data = make(folder, task, 4 // devices)
        rows = rows_of(task, 16)
        every = ModelCheckpoint(save_top_k=-1, filename="{epoch}")
        callbacks = [every, FreezeBackbone(1)] if task == "extractive" else [every]
        trainer = trainer_of(folder, task, devices, callbacks=callbacks)
        trainer.fit(module, data.with_rows(train=rows, val=rows[:5]))
        numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
        found[task] = {name: numbers[name] for name in numbers if name != "train/loss"}
        last = f"{folder}/{task}-1/checkpoints/epoch=1.ckpt"  # that of the one process, for both
        for num_rows in SIZES.get(task, (1, 7)):
            module, data = make(folder, task, 4 // devices)
            rows = rows_of(task, num_rows, longest=12)
            if hasattr(module, "max_windows"):
                module.max_windows = 2  # other numbers of passes on each process
            data.with_rows(test=rows, predict=rows)
            trainer = trainer_of(folder, f"test {task}", devices)
            (scores,) = trainer.test(module, data, ckpt_path=last, verbose=False, weights_only=True)
            found[f"{task} {num_rows}"] = scores
    Path(folder, f"found-{devices}-{trainer.global_rank}.json").write_text(json.dumps(found))


def go_on(folder):
    checkpoints = f"{folder}/text-2/checkpoints/"
    pl.seed_everything(0, verbose=False)
    module, data = make(folder, "text", 2)
    trainer = trainer_of(folder, "again", 2)
    rows = rows_of("text", 16)
    trainer.fit(
        module, data.with_rows(train=rows, val=rows[:5]), ckpt_path=f"{checkpoints}epoch=0.ckpt",
        weights_only=True,
    )


if __name__ == "__main__":
    faulthandler.dump_traceback_later(250, exit=True)  # where processes wait for each other
    words = json.loads(Path(sys.argv[1], "command.json").read_text())
    assert main(words) == 0
    run(sys.argv[1], 2)
    go_on(sys.argv[1])
"""


@pytest.fixture(scope="module")
def found(tiny_model: str, tiny_t5: str, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What one process and what two found, and their folder."""
    folder = tmp_path_factory.mktemp("sharding")
    models = {"generative": tiny_t5}
    for task in TASKS:
        (folder / task).symlink_to(models.get(task, tiny_model))
    rows = "".join(f"fire in street {n},{'ab'[n % 2]}\n" for n in range(8))
    (folder / "rows.csv").write_text(f"text,label\n{rows}")
    words = [
        *("fit", "--model", "TextClassifier", "--model.model_name", tiny_model),
        *("--model.head", "MeanHead", "--data", "TextClassificationDataModule"),
        *("--data.train_file", str(folder / "rows.csv"), "--data.val_fraction", "0.5"),
        *("--data.test_file", str(folder / "rows.csv"), "--data.batch_size", "2"),
        *("--checkpoint.monitor", "val/f1", "--trainer.max_epochs", "1"),
        *("--trainer.strategy", "ModelParallelStrategy", "--trainer.devices", "2"),
        *("--trainer.accelerator", "cpu", "--trainer.logger", "false"),
        *("--trainer.default_root_dir", str(folder / "run"), "--ckpt_path", "auto"),
    ]
    (folder / "command.json").write_text(json.dumps(words))
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        runpy.run_path(str(script))["run"](str(folder), 1)
    torch.set_num_threads(threads)
    run_script(script, str(folder))
    one, *two = (
        json.loads((folder / f"found-{name}.json").read_text()) for name in ("1-0", "2-0", "2-1")
    )
    return one, two, folder


def _weights(path: Path) -> dict[str, torch.Tensor]:
    return cast("dict[str, torch.Tensor]", read_checkpoint(path)["state_dict"])


@pytest.mark.parametrize("task", TASKS)
def test_training__ends_with_the_weights_of_one_process(found: Found, task: str) -> None:
    """With clipping, decay and momentum; the own head begins alone; T5's embeddings are shared."""
    one, two, folder = found
    wanted, got = (
        _weights(folder / f"{task}-{devices}" / "checkpoints" / "epoch=1.ckpt")
        for devices in (1, 2)
    )
    begun = _weights(folder / f"{task}-1" / "checkpoints" / "epoch=0.ckpt")
    assert wanted.keys() == got.keys()
    assert max(float((value - begun[name]).abs().max()) for name, value in wanted.items()) > 1e-3
    for name, value in wanted.items():
        assert torch.allclose(got[name], value, atol=2e-5), name
    for process in two:
        assert process[task] == pytest.approx(one[task], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_scores__are_those_of_one_process(found: Found, task: str) -> None:
    """Of 1, 5, 7 and 101 rows, also where the processes need other numbers of passes."""
    one, two, _ = found
    names = [name for name in one if name.rsplit(" ", 1)[0] == task and name[-1].isdigit()]
    assert len(names) == (3 if task == "text" else 2)
    for name in names:
        assert one[name]["test/num_examples"] == int(name.rsplit(" ", 1)[1])
        for process in two:
            loss = process[name].pop("test/loss")
            assert loss == pytest.approx(one[name]["test/loss"], rel=1e-5)
            wanted = {key: value for key, value in one[name].items() if key != "test/loss"}
            assert process[name] == pytest.approx(wanted, rel=0, abs=0, nan_ok=True)


def test_training_that_goes_on__ends_with_the_same_weights(found: Found) -> None:
    _, _, folder = found
    wanted = _weights(folder / "text-2" / "checkpoints" / "epoch=1.ckpt")
    (path,) = (folder / "again-2" / "checkpoints").glob("*.ckpt")
    got = _weights(path)
    assert all(torch.equal(got[name], value) for name, value in wanted.items())


def test_command__writes_files_that_one_process_reads(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, folder = found
    run = folder / "run"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    exported = AutoModelForSequenceClassification.from_pretrained(run / "pretrained")
    assert isinstance(exported.head, MeanHead)
    one = ["--trainer.strategy", "auto", "--trainer.devices", "1"]
    assert main(["test", "--run", str(run), *one]) == 0
    scores = json.loads((run / "results.json").read_text())["test"]
    assert scores["num_examples"] == 8
    assert main(["export", str(run / "checkpoints" / "last.ckpt"), str(tmp_path / "new")]) == 0
    held = _weights(run / "checkpoints" / "last.ckpt")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "new")
    for name, value in again.state_dict().items():
        assert torch.equal(held[f"model.{name}"], value)
    words = json.loads((folder / "command.json").read_text())
    assert main([*words, "--trainer.max_epochs", "2", *one]) == 2
    error = capsys.readouterr().err
    assert "weights was shared among the processes, is on each process" in error
    # The optimizer of one process takes what two have written, by name of the weight.
    assert main([*words, "--trainer.max_epochs", "2", *one, "--allow-changed"]) == 0
    state = cast("Any", read_checkpoint(run / "checkpoints" / "last.ckpt"))["optimizer_states"][0]
    shapes = {name: value.shape for name, value in held.items()}
    assert state["state"]
    for name, value in state["state"].items():
        assert value["exp_avg"].shape == shapes[name]
        assert int(value["step"]) == 3


def test_layer__that_shares_a_weight_is_gathered_with_the_whole() -> None:
    model = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))
    whole = nn.ModuleDict({"layers": model, "out": nn.Linear(3, 3)})
    whole.get_submodule("out").register_parameter("weight", model[1].get_parameter("weight"))
    assert layers_of(whole) == [model[0], model[2]]


def test_passes__cover_each_row_once() -> None:
    parts = list(passes(torch.arange(5), 2, in_step=False))
    assert [part.tolist() for part, _ in parts] == [[0, 1], [2, 3], [4]]
    assert not any(is_extra for _, is_extra in parts)


def test_strategy__is_completed_or_refused(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(devices=2, strategy=ModelParallelStrategy())
    configure_fsdp(trainer)
    assert is_sharded(trainer)
    strategy = cast("Any", trainer.strategy)
    assert (strategy._data_parallel_size, strategy._tensor_parallel_size) == (2, 1)
    assert not strategy._save_distributed_checkpoint
    for sizes in ((3, 1), (1, 2)):
        with pytest.raises(InputError, match="needs `data_parallel_size: 2`"):
            configure_fsdp(make_trainer(devices=2, strategy=ModelParallelStrategy(*sizes)))
    plain = make_trainer()
    configure_fsdp(plain)
    assert not is_sharded(plain)
    assert not is_sharded(None)
