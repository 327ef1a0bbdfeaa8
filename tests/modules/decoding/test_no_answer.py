from typing import Any

import pytest
import torch

from lit_hf.modules.decoding.no_answer import note_threshold, take_threshold
from lit_hf.modules.validated import ValidatedNumber


def _checkpoint(trained: float | None) -> dict[str, Any]:
    """Of a training that was given a threshold, and found 0.5 to be the best."""
    checkpoint: dict[str, Any] = {
        "lit_hf": {},
        "state_dict": {"best_threshold._extra_state": torch.tensor(0.5)},
        "hyper_parameters": {"no_answer_threshold": trained},
    }
    note_threshold(checkpoint, trained)
    return checkpoint


@pytest.mark.parametrize(
    ("trained", "given", "used"),
    [(0.0, 0.0, 0.5), (0.0, None, 0.5), (0.0, 3.0, 3.0), (None, 0.0, 0.0), (2.0, 2.0, 0.5)],
)
def test_threshold__that_is_another_than_in_training_is_used(
    trained: float | None, given: float | None, used: float
) -> None:
    checkpoint = _checkpoint(trained)
    take_threshold(checkpoint, given, ValidatedNumber(0.5))
    assert float(checkpoint["state_dict"]["best_threshold._extra_state"]) == used


def test_threshold__of_the_training_is_known_though_new_arguments_stand_in_the_checkpoint() -> None:
    """`load_from_checkpoint` writes them over those of the training before it makes the module."""
    checkpoint = _checkpoint(0.0)
    checkpoint["hyper_parameters"]["no_answer_threshold"] = 3.0
    take_threshold(checkpoint, 3.0, ValidatedNumber(0.5))
    assert float(checkpoint["state_dict"]["best_threshold._extra_state"]) == 3.0
    del checkpoint["lit_hf"]["no_answer_threshold"]  # one that was written before it was noted
    checkpoint["hyper_parameters"]["no_answer_threshold"] = 0.0
    take_threshold(checkpoint, 7.0, ValidatedNumber(0.5))
    assert float(checkpoint["state_dict"]["best_threshold._extra_state"]) == 7.0


def test_threshold__is_given_where_the_weights_are_taken_already() -> None:
    """A strategy that shards the weights loads them itself, before the module is asked."""
    checkpoint, found = _checkpoint(0.0), ValidatedNumber(0.5)
    del checkpoint["state_dict"]
    take_threshold(checkpoint, 0.0, found)
    assert found.value == 0.5
    take_threshold(checkpoint, 3.0, found)
    assert found.value == 3.0
