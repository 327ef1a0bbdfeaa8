"""A loss of the user's own in all four tasks: trained with, in checkpoints, in the command."""

import runpy
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn

from lit_hf import HFModule, InputError, Predictor, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.resume_guard import ResumeGuard
from tests.commands import Done, fit_words, run_command
from tests.images import NAMES
from tests.processes import run_script
from tests.tasks import TASKS, Task, task_of
from tests.trainers import quiet_trainer


class Margin(nn.Module):
    """Cross entropy with a number that is learnt, and a count that is kept."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.margin = nn.Parameter(torch.tensor([0.5]))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Losses [N] of logits [N, C]."""
        self.count += 1
        others = nn.functional.one_hot(targets, inputs.shape[1]).logical_not()
        shifted = inputs + self.margin * others
        return nn.functional.cross_entropy(shifted, targets, reduction="none") - self.margin


def _doubled(inputs: Tensor, targets: Tensor) -> Tensor:
    return 2 * nn.functional.cross_entropy(inputs, targets, reduction="none")


def _still(params: Any) -> torch.optim.Optimizer:  # noqa: ANN401 - weights or groups
    return torch.optim.SGD(params, lr=0.0)


@pytest.fixture
def make_task(tiny_model: str, tiny_t5: str, tiny_vit: str) -> Callable[[str], Task]:
    """Makes a tiny task of a name."""
    return lambda name: task_of(name, tiny_model, tiny_t5, tiny_vit)


def _fit(task: Task, folder: Path, epochs: int = 1, **module: Any) -> tuple[pl.Trainer, HFModule]:  # noqa: ANN401 - settings of the module
    pl.seed_everything(0, verbose=False)
    made = task.module(pretrained=False, **module)
    data = task.data(batch_size=4, val_fraction=0).with_rows(
        train=task.rows(0, 8), val=task.rows(8, 4)
    )
    trainer = quiet_trainer(
        default_root_dir=folder, max_epochs=epochs, num_sanity_val_steps=0, log_every_n_steps=1
    )
    trainer.fit(made, data)
    return trainer, made


@pytest.mark.parametrize("name", TASKS)
def test_loss__is_that_of_the_training_and_not_of_a_validation(
    name: str, make_task: Callable[[str], Task], tmp_path: Path
) -> None:
    """Twice the loss has twice the value; what is validated stays comparable."""
    found: dict[str, dict[str, float]] = {}
    for kind, loss in (("own", None), ("plain", nn.CrossEntropyLoss()), ("doubled", _doubled)):
        trainer, _ = _fit(make_task(name), tmp_path, loss=loss, optimizer=_still)
        found[kind] = {key: float(value) for key, value in trainer.callback_metrics.items()}
    assert found["plain"] == pytest.approx(found["own"], rel=1e-5)
    assert found["doubled"]["train/loss"] == pytest.approx(2 * found["own"]["train/loss"], rel=1e-5)
    assert found["doubled"]["val/loss"] == pytest.approx(found["own"]["val/loss"], rel=1e-5)


def test_learnt_loss__is_trained_saved_and_left_out_where_there_is_none(
    make_task: Callable[[str], Task], tmp_path: Path
) -> None:
    task = make_task("text")
    trainer, module = _fit(
        task, tmp_path, loss=Margin(), optimizer=lambda params: torch.optim.AdamW(params, lr=0.01)
    )
    loss = module.loss
    assert isinstance(loss, Margin)
    margin, count = loss.margin.item(), loss.count.item()
    assert margin != 0.5
    groups = trainer.optimizers[0].param_groups
    assert any(weight is loss.margin for weight in groups[1]["params"])  # without decay
    trainer.save_checkpoint(path := tmp_path / "own.ckpt")

    plain = TextClassifier.load_from_checkpoint(path)
    assert plain.loss is None
    weights = dict(module.model.named_parameters())
    assert all(torch.equal(w, weights[n]) for n, w in plain.model.named_parameters())
    other = Margin()
    TextClassifier.load_from_checkpoint(path, loss=other)
    assert (other.margin.item(), other.count.item()) == (margin, count)
    weighted = nn.CrossEntropyLoss(torch.tensor([1.0, 3.0]))
    TextClassifier.load_from_checkpoint(path, loss=weighted)
    assert torch.equal(cast("Tensor", weighted.weight), torch.tensor([1.0, 3.0]))
    assert Predictor.from_pretrained(path)(["a fire"])[0]["prediction"] in NAMES


BOTH = """
import sys, warnings
import lightning.pytorch as pl
import torch
from tests.images import NAMES
from tests.processes import run_script
from tests.tasks import task_of
from tests.test_own_loss import Margin

def run(folder, model, devices, epochs, ckpt_path=None):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    pl.seed_everything(0, verbose=False)
    task = task_of("text", model, "", "")
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    module = task.module(
        pretrained=False, config_overrides=off, loss=Margin(), scheduler="constant",
        optimizer=lambda params: torch.optim.SGD(params, lr=0.1),
    )
    data = task.data(batch_size=4 // devices, val_fraction=0).with_rows(train=task.rows(0, 8))
    trainer = pl.Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto",
        max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder,
    )
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
    path = f"{folder}/{devices}-{epochs}{'-resumed' if ckpt_path else ''}.ckpt"
    trainer.save_checkpoint(path)
    return path

if __name__ == "__main__":
    folder, model = sys.argv[1:]
    run(folder, model, 2, 2)
    run(folder, model, 2, 2, ckpt_path=run(folder, model, 2, 1))
"""


def test_learnt_loss__of_two_processes_is_that_of_one_and_resumes(
    tiny_model: str, tmp_path: Path
) -> None:
    (tmp_path / "both.py").write_text(BOTH)
    run_script(tmp_path / "both.py", str(tmp_path), tiny_model)
    runpy.run_path(str(tmp_path / "both.py"))["run"](str(tmp_path), tiny_model, 1, 2)

    def margin(name: str) -> Tensor:
        state = torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["state_dict"]
        return cast("Tensor", state["loss.margin"])

    assert abs(float(margin("1-2")) - 0.5) > 1e-3
    assert torch.allclose(margin("2-2"), margin("1-2"), atol=1e-6)
    assert torch.equal(margin("2-2-resumed"), margin("2-2"))


def test_training__of_another_loss_is_another_one_and_of_another_metric_is_not(
    tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> None:
    def fit(epochs: int, ckpt_path: Path | None = None, **settings: Any) -> pl.Trainer:  # noqa: ANN401 - of the module
        data = TextClassificationDataModule(
            tiny_model, val_fraction=0, batch_size=4, label_names=["no", "yes"]
        ).with_rows(train=tweet_rows, val=tweet_rows)
        module = TextClassifier(tiny_model, ["no", "yes"], pretrained=False, **settings)
        trainer = quiet_trainer(
            default_root_dir=tmp_path, max_epochs=epochs, callbacks=[ResumeGuard()]
        )
        trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
        return trainer

    smoothed = nn.CrossEntropyLoss(label_smoothing=0.1)
    fit(1, loss=smoothed).save_checkpoint(path := tmp_path / "one.ckpt")
    with pytest.raises(InputError, match=r"model\.loss was .*label_smoothing=0.1"):
        fit(2, path, loss=nn.CrossEntropyLoss(label_smoothing=0.2))
    with pytest.raises(InputError, match=r"model\.loss"):
        fit(2, path, loss=nn.CrossEntropyLoss(torch.ones(2)))
    fit(2, path, loss=smoothed, metrics={"same": lambda predictions, labels: 1.0})


OWN = """
    import torch

    def focal(input, target):
        losses = torch.nn.functional.cross_entropy(input, target, reduction="none")
        return (1 - (-losses).exp()) ** 2 * losses

    def mean(input, target):
        return torch.nn.functional.cross_entropy(input, target)

    class Weighted(torch.nn.CrossEntropyLoss):
        def __init__(self):
            super().__init__(weight=torch.tensor([1.0, 3.0]))
"""


def _command(folder: Path, model: str, *words: str) -> Done:
    (folder / "own_losses.py").write_text(textwrap.dedent(OWN))
    short = [
        *("--import", "own_losses", "--trainer.limit_train_batches", "2", "--trainer.logger=false"),
        *("--samples.num_samples", "0", "--data.batch_size", "8"),
    ]
    return run_command(*fit_words(model, folder / "run", *short, *words), folder=folder)


def test_command__with_a_loss_of_a_file_trains_resumes_and_validates(
    tiny_model: str, tmp_path: Path
) -> None:
    given = ["--model.loss", "own_losses.focal"]
    done = _command(tmp_path, tiny_model, *given)
    assert done.returncode == 0, done.stderr
    assert "loss: own_losses.focal" in (tmp_path / "run" / "config.yaml").read_text()
    other = _command(
        tmp_path, tiny_model, "--model.loss=CrossEntropyLoss", "--trainer.max_epochs=3"
    )
    assert other.returncode == 2
    assert "model.loss" in other.stderr
    words = ["--run", str(tmp_path / "run"), "--trainer.enable_progress_bar=false"]
    checked = run_command("validate", *words, folder=tmp_path)  # an evaluation needs no loss
    assert checked.returncode == 0, checked.stderr
