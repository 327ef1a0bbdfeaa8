from lit_hf.checkpointing.optimizer_settings import overruled


def test_overruled__leaves_out_what_a_schedule_has_changed() -> None:
    assert overruled([{"lr": 1e-3}], [{"lr": 1e-3, "initial_lr": 2e-3}]) == []
    assert overruled([{"lr": 0.0, "initial_lr": 2e-3}], [{"lr": 1.0, "initial_lr": 2e-3}]) == []
