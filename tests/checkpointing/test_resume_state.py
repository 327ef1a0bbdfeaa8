from typing import Any

import pytest
import torch

from lit_hf import TextClassifier
from lit_hf.checkpointing.resume_state import ResumeState, open_batches, step_back
from tests.trainers import MakeTrainer

CPU = torch.device("cpu")


def _trainer(make: MakeTrainer, done: int, is_last: bool, accumulate: int) -> Any:  # noqa: ANN401 - a Trainer
    trainer = make(accumulate_grad_batches=accumulate)
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress
    progress.current.ready = progress.current.started = done
    progress.is_last_batch = is_last
    trainer.fit_loop.max_batches = 10
    return trainer


@pytest.mark.parametrize(
    ("done", "is_last", "accumulate", "wanted"),
    [(5, False, 1, 0), (5, False, 3, 2), (6, False, 3, 0), (10, False, 3, 0), (8, True, 3, 0)],
)
def test_open_batches__are_those_without_a_step(
    make_trainer: MakeTrainer, done: int, is_last: bool, accumulate: int, wanted: int
) -> None:
    assert open_batches(_trainer(make_trainer, done, is_last, accumulate)) == wanted


def test_checkpoint_within_a_window__begins_it_anew(make_trainer: MakeTrainer) -> None:
    resume = ResumeState()
    trainer = _trainer(make_trainer, 5, False, 3)
    resume.begin_batch(trainer, 3, CPU)
    wanted = torch.rand(4)
    resume.begin_batch(trainer, 4, CPU)
    counts = {"ready": 15, "started": 15, "processed": 15, "completed": 14}
    within = {"ready": 5, "started": 5, "processed": 5, "completed": 4}
    progress: Any = {"total": counts, "current": within}
    checkpoint: Any = {"loops": {"fit_loop": {"epoch_loop.batch_progress": progress}}}
    resume.save(trainer, checkpoint, CPU)
    assert set(counts.values()) == {13}
    assert set(within.values()) == {3}
    other = ResumeState()
    other.load(trainer, checkpoint)
    torch.rand(7)
    other.begin_batch(trainer, 3, CPU)
    assert torch.equal(torch.rand(4), wanted)
    other.begin_batch(trainer, 4, CPU)  # only once
    assert not torch.equal(torch.rand(4), wanted)


def test_checkpoint__without_states_changes_no_numbers(make_trainer: MakeTrainer) -> None:
    resume = ResumeState()
    resume.load(make_trainer(), {"loops": {}})
    torch.manual_seed(3)
    resume.begin_batch(make_trainer(), 0, CPU)
    after = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(2))


def test_step_back__counts_batches_as_to_come() -> None:
    state = {
        "epoch_loop.batch_progress": {
            "total": {"ready": 9, "started": 9, "processed": 9, "completed": 9},
            "current": {"ready": 4, "started": 4, "processed": 4, "completed": 4},
        }
    }
    step_back(state, 2)
    assert state["epoch_loop.batch_progress"]["total"]["completed"] == 7
    assert state["epoch_loop.batch_progress"]["current"]["ready"] == 2


def test_module__alone_can_be_saved(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, ["a", "b"])
    checkpoint: dict[str, Any] = {}
    module.on_save_checkpoint(checkpoint)
    assert "random_states" not in checkpoint
