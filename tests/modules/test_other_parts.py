import torch

from lit_hf.modules.other_parts import with_own_parts


def test_parts__that_are_others_stay_as_they_are() -> None:
    held = {"model.w": torch.ones(2), "loss.a": torch.ones(2), "loss.gone": torch.ones(2)}
    own = {"model.w": torch.zeros(2), "loss.a": torch.zeros(2), "loss.b": torch.zeros(3)}
    found = with_own_parts(held, own, ("loss.",))
    assert sorted(found) == ["loss.a", "loss.b", "model.w"]
    assert found["loss.a"] is held["loss.a"]
    assert found["loss.b"] is own["loss.b"]


def test_part__of_another_shape_stays_and_a_model_of_one_is_told() -> None:
    held = {"model.w": torch.ones(2), "loss.a": torch.ones(2)}
    own = {"model.w": torch.zeros(3), "loss.a": torch.zeros(3)}
    found = with_own_parts(held, own, ("loss.",))
    assert found["loss.a"] is own["loss.a"]
    assert found["model.w"] is held["model.w"]  # which torch refuses
