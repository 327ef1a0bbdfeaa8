"""What hooks of a task of one's own give by mistake is one error that names the hook."""

import pytest
import torch

from lit_hf.modules.hook_results import check_plain, check_terms


def test_terms__that_are_a_loss_are_refused() -> None:
    with pytest.raises(TypeError, match="`loss_terms` gives a Tensor, but `LossTerms"):
        check_terms(torch.ones(3))


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (1, "`show` gives a int for a row"),
        ({"correct": torch.tensor(True)}, r"`show` gives tensor\(True\) as 'correct'"),
        ({"probability": torch.ones(1).numpy()[0]}, "as 'probability', but plain types"),
    ],
)
def test_answers__that_are_not_plain_are_refused(found: object, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        check_plain("show", found)
