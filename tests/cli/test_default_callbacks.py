from lightning.pytorch import Callback

from lit_hf.cli.default_callbacks import EVERY_RUN


def test_every_run__makes_each_without_a_setting() -> None:
    assert all(isinstance(kind(), Callback) for kind in EVERY_RUN)
    assert len({kind.__name__ for kind in EVERY_RUN}) == len(EVERY_RUN)
