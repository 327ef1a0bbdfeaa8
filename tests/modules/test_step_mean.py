import json
import runpy
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor, nn
from torch.optim import SGD

from lit_hf import InputError
from lit_hf.modules import step_mean
from lit_hf.modules.step_mean import StepMean
from tests.processes import run_script
from tests.tasks import Task
from tests.trainers import quiet_trainer

SCRIPT = """
import json, sys, warnings
from pathlib import Path
import lightning.pytorch as pl
import torch
from lit_hf import GenerativeQA, GenerativeQADataModule

def run(folder, devices, batch_size, accumulate):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = [json.loads(line) for line in Path(folder, "rows.jsonl").read_text().splitlines()]
    trainer = pl.Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto",
        accumulate_grad_batches=accumulate, max_epochs=1, precision="64-true", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder,
    )
    model = f"{folder}/model"
    data = GenerativeQADataModule(
        model, batch_size=batch_size, max_length=64, doc_stride=8, val_fraction=0
    )
    module = GenerativeQA(
        model, optimizer=lambda params: torch.optim.SGD(params, lr=0.1), scheduler="constant",
        warmup_ratio=0,
    )
    trainer.fit(module, data.with_rows(train=rows, val=rows))
    weights = torch.cat([p.detach().flatten() for p in module.parameters()])
    scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
    name = f"{devices}-{batch_size}-{accumulate}-{trainer.global_rank}"
    torch.save((weights, scores), f"{folder}/{name}.pt")

if __name__ == "__main__":
    run(sys.argv[1], *map(int, sys.argv[2:]))
"""


def test_step__counts_each_token_alike_however_the_batches_are_cut(
    tiny_t5: str, tmp_path: Path
) -> None:
    """One batch of four, four of one, two of two, two processes: the same weights."""
    context = "Ada sold the old mill by the river in 1921."
    answers = ["Ada", "the old mill by the river in 1921", "", "1921"]
    rows = [{"question": f"{n}?", "context": context, "answers": a} for n, a in enumerate(answers)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "model").symlink_to(tiny_t5)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    run = runpy.run_path(str(script))["run"]
    with warnings.catch_warnings():
        run(str(tmp_path), 1, 4, 1)
        run(str(tmp_path), 1, 1, 4)
        run(str(tmp_path), 1, 1, 8)  # the epoch ends before the step has its batches
    run_script(script, str(tmp_path), "2", "1", "2")
    wanted, scores = torch.load(tmp_path / "1-4-1-0.pt")
    for name in ("1-1-4-0", "1-1-8-0", "2-1-2-0", "2-1-2-1"):
        weights, found = cast(
            "tuple[torch.Tensor, dict[str, float]]", torch.load(tmp_path / f"{name}.pt")
        )
        assert torch.allclose(weights, wanted, rtol=0, atol=1e-9), name
        for key in ("val/loss", "val/exact_match", "val/f1", "val/num_examples"):
            assert found[key] == pytest.approx(scores[key], abs=1e-6), (name, key)


def _step(strategy: object, batches: Sequence[float]) -> list[float]:
    """By what each mean is multiplied, and last the gradient of all, of 1 for each batch."""
    mean, weight = StepMean(), torch.ones((), requires_grad=True)
    trainer = _trainer([weight], len(batches), strategy)
    losses = []
    for own in batches:
        mean.begin_batch()
        losses.append(mean.weigh(trainer, weight, torch.tensor(own)))
        torch.autograd.backward(losses[-1] / len(batches))
    mean.divide(trainer, [weight])
    assert weight.grad is not None
    return [*(float(loss.detach()) for loss in losses), float(weight.grad)]


def _trainer(parameters: list[Tensor], accumulate: int, strategy: object = None) -> Any:  # noqa: ANN401 - what is asked of one
    return SimpleNamespace(
        strategy=strategy,
        accumulate_grad_batches=accumulate,
        world_size=1,
        optimizers=[SGD(parameters)],
    )


def test_weigh__is_relative_to_the_largest_batch_so_far() -> None:
    assert _step(None, [0.0, 500.0, 1000.0]) == [0.0, 1.0, 1.0, 1.0]
    found = _step(None, [10.0, 1000.0, 500.0])
    assert found == pytest.approx([1.0, 1000 / 1280, 500 / 1280, 1.0], rel=1e-6)
    assert _step(None, [0.0, 0.0]) == [0.0, 0.0, 0.0]
    assert _step(None, [3.0, 3.0, 3.0]) == [1.0, 1.0, 1.0, 1.0]


def test_weigh__of_deepspeed_is_by_the_batches_that_run_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody gets at its gradients, so that accumulated batches count alike."""
    strategy = object.__new__(DeepSpeedStrategy)
    assert _step(strategy, [2.0, 500.0]) == [1.0, 1.0, 1.0]
    trainer: Any = SimpleNamespace(strategy=strategy, accumulate_grad_batches=1, world_size=2)
    monkeypatch.setattr(step_mean, "_of_processes", lambda *_: torch.tensor([2.0, 6.0]))
    loss = StepMean().weigh(trainer, torch.tensor(8.0), torch.tensor(2.0))
    assert float(loss) / 2 == 8.0 * 2.0 / (2.0 + 6.0)  # the processes are averaged


def _window(
    batches: Sequence[tuple[Tensor, float]], scale: float, weighs: bool
) -> tuple[Tensor, bool]:
    """The gradient of an accumulated step in float16, and whether the scaler leaves the step out.

    Args:
        batches: rows [B, 8] and the weight of each batch.
        scale: of the losses.
        weighs: whether their means are weighed, and not only averaged.
    """
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    scaler, weights = torch.amp.GradScaler("cpu", init_scale=scale), list(model.parameters())
    optimizer, mean = SGD(weights, lr=0.0), StepMean()
    trainer = _trainer(cast("list[Tensor]", weights), len(batches))
    for rows, weight in batches:
        with torch.autocast("cpu", torch.float16):
            loss = model(rows).float().square().mean()
        if weighs:
            mean.begin_batch()
            loss = mean.weigh(trainer, loss, torch.tensor(weight))
        scaler.scale(loss / len(batches)).backward()
    scaler.unscale_(optimizer)
    mean.divide(trainer, cast("list[Tensor]", weights))
    gradient = torch.cat([w.grad.flatten() for w in weights if w.grad is not None])
    scaler.step(optimizer)
    scaler.update()
    return gradient, scaler.get_scale() < scale


def test_scaler__leaves_out_no_step_more_than_with_means() -> None:
    """Also where the first batch of a window weighs a hundredth of a later one."""
    chance = torch.Generator().manual_seed(0)
    skipped = {True: 0, False: 0}
    for _ in range(100):
        shares = torch.rand(4, generator=chance)
        weights = (10 ** (3 * shares)).tolist()
        weights = sorted(weights) if skipped[False] % 2 else weights
        rows = [10 * torch.randn(6, 8, generator=chance) for _ in weights]
        batches = list(zip(rows, weights, strict=True))
        scale = float(2 ** (10 + torch.randint(0, 9, (), generator=chance)))
        gradient, is_skipped = _window(batches, scale, weighs=True)
        _, is_without = _window(batches, scale, weighs=False)
        assert is_skipped <= is_without
        skipped[True] += is_skipped
        skipped[False] += is_without
        if not is_skipped:
            alone = [_window([(part, 1.0)], 1.0, weighs=False)[0] for part in rows]
            wanted = sum(w * g for w, g in zip(weights, alone, strict=True)) / sum(weights)
            assert torch.allclose(
                gradient, wanted, rtol=2e-2, atol=2e-2 * float(wanted.abs().max())
            )
    assert 0 < skipped[True] <= skipped[False] < 100


def _weights(module: pl.LightningModule) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def _gradient(task: Task, batch_size: int, accumulate: int) -> Tensor:
    """That of the one optimizer step that an epoch of twelve rows takes, without dropout."""
    begin: list[Tensor] = []

    class Notes(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            begin.append(_weights(pl_module))

    pl.seed_everything(0, verbose=False)
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    module = task.module(
        optimizer=lambda params: SGD(params, lr=1.0),
        scheduler="constant",
        config_overrides={} if task.name == "generative" else off,
    )
    trainer = quiet_trainer(
        max_epochs=1,
        enable_checkpointing=False,
        precision="64-true",
        accumulate_grad_batches=accumulate,
        callbacks=[Notes()],
    )
    data = task.data(batch_size=batch_size, val_fraction=0)
    trainer.fit(module, data.with_rows(train=task.rows(0, 12)))
    assert trainer.global_step == 1
    return begin[0] - _weights(module)


def test_step__counts_each_row_alike_in_all_tasks(any_task: Task) -> None:
    """Of short last batches, and where the epoch ends before the step has its batches."""
    wanted = _gradient(any_task, 12, 1)
    for batch_size, accumulate in ((3, 4), (3, 8), (5, 3), (5, 8)):
        gradient = _gradient(any_task, batch_size, accumulate)
        assert float((gradient - wanted).norm() / wanted.norm()) < 1e-6, (batch_size, accumulate)


def test_weigh__counts_a_batch_once_however_often_its_loss_is_computed() -> None:
    """As R-Drop does, and a callback that trains on changed embeddings before the step."""
    mean, weight = StepMean(), torch.ones((), requires_grad=True)
    trainer = _trainer([weight], 2)
    for _ in range(2):
        mean.begin_batch()
        for _ in range(2):
            torch.autograd.backward(mean.weigh(trainer, weight, torch.tensor(4.0)) / 2)
    mean.divide(trainer, [weight])
    assert float(cast("Tensor", weight.grad)) == 2.0  # two losses of each batch are added


def test_weigh__of_a_closure_that_repeats_the_last_batch_of_several_is_refused() -> None:
    mean, weight = StepMean(), torch.ones((), requires_grad=True)
    trainer = _trainer([weight], 2)
    mean.begin_batch()
    mean.weigh(trainer, weight, torch.tensor(4.0))
    mean.divide(trainer, [weight])
    with pytest.raises(InputError, match="accumulate_grad_batches: 1"):
        mean.weigh(trainer, weight, torch.tensor(4.0))
