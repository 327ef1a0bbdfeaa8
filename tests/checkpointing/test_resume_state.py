from typing import Any

import pytest
import torch

from lit_hf import TextClassifier
from lit_hf.checkpointing.resume_state import ResumeState, open_batches
from tests.trainers import quiet_trainer

CPU = torch.device("cpu")


def _trainer(done: int, is_last: bool, accumulate: int) -> Any:  # noqa: ANN401 - a Trainer
    trainer = quiet_trainer(accumulate_grad_batches=accumulate, enable_checkpointing=False)
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress
    progress.current.ready = progress.current.started = done
    progress.is_last_batch = is_last
    trainer.fit_loop.max_batches = 10
    return trainer


@pytest.mark.parametrize(
    ("done", "is_last", "accumulate", "expected"),
    [(5, False, 1, 0), (5, False, 3, 2), (6, False, 3, 0), (10, False, 3, 0), (8, True, 3, 0)],
)
def test_open_batches__are_those_without_a_step(
    done: int, is_last: bool, accumulate: int, expected: int
) -> None:
    assert open_batches(_trainer(done, is_last, accumulate)) == expected


def test_checkpoint_within_a_window__repeats_it_with_the_same_numbers() -> None:
    resume, trainer = ResumeState(), _trainer(5, False, 3)
    resume.begin_batch(trainer, 3, CPU)
    expected = torch.rand(4)
    resume.begin_batch(trainer, 4, CPU)
    counts = {"ready": 15, "started": 15, "processed": 15, "completed": 14}
    within = {"ready": 5, "started": 5, "processed": 5, "completed": 4}
    progress: Any = {"total": counts, "current": within}
    checkpoint: Any = {"loops": {"fit_loop": {"epoch_loop.batch_progress": progress}}}
    resume.save(trainer, checkpoint, CPU)
    assert ({*counts.values()}, {*within.values()}) == ({13}, {3})
    other = ResumeState()
    other.load(trainer, checkpoint)
    torch.rand(7)
    other.begin_batch(trainer, 3, CPU)
    assert torch.equal(torch.rand(4), expected)
    other.begin_batch(trainer, 4, CPU)  # only once
    assert not torch.equal(torch.rand(4), expected)


def test_module__alone_can_be_saved(tiny_model: str) -> None:
    checkpoint: dict[str, Any] = {}
    TextClassifier(tiny_model, ["a", "b"]).on_save_checkpoint(checkpoint)
    assert "random_states" not in checkpoint
