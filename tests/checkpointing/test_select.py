from pathlib import Path

import pytest
import torch

from lit_hf import InputError
from lit_hf.checkpointing.select import best_of, has_score, latest_valid_checkpoint
from tests.damage import flip_weight


def _write(path: Path, step: int, best: str | None = None, **about: object) -> Path:
    state = {"monitor": "val/f1", "best_model_path": best, "best_model_score": torch.tensor(0.5)}
    content = {"state_dict": {"w": torch.arange(300.0)}, "global_step": step, "lit_hf": about}
    path.parent.mkdir(exist_ok=True)
    torch.save({**content, "callbacks": {"ModelCheckpoint": state} if best else {}}, path)
    return path


def test_latest__has_the_most_steps_and_is_valid(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert latest_valid_checkpoint(tmp_path / "no-such-folder") is None
    late = _write(tmp_path / "a-late.ckpt", 100)
    _write(tmp_path / "z-early.ckpt", 9)  # written later: a clock says nothing
    (tmp_path / "folder.ckpt").mkdir()
    assert latest_valid_checkpoint(tmp_path) == late
    assert not caplog.messages
    flip_weight(corrupt := _write(tmp_path / "m.ckpt", 1000))
    torch.save({"global_step": 5000}, other := tmp_path / "other.ckpt")
    assert latest_valid_checkpoint(tmp_path) == late
    (message,) = caplog.messages
    assert f"{corrupt}: corrupt" in message
    assert f"{other}: no Lightning checkpoint" in message
    assert f"latest valid checkpoint is {late}" in message
    last = _write(tmp_path / "last.ckpt", 100)
    assert latest_valid_checkpoint(tmp_path) == last


def test_latest__of_corrupt_ones_only_is_no_start_from_scratch(tmp_path: Path) -> None:
    flip_weight(_write(tmp_path / "last.ckpt", 9))
    with pytest.raises(InputError, match=r"last\.ckpt: corrupt.*start from scratch"):
        latest_valid_checkpoint(tmp_path)


@pytest.mark.parametrize("moved", ["/moved/since/", "C:\\moved\\since\\"])
def test_best__is_the_one_that_the_latest_names(tmp_path: Path, moved: str) -> None:
    assert best_of(tmp_path) is None
    best = _write(tmp_path / "best.ckpt", 10, "/elsewhere/old.ckpt")
    _write(tmp_path / "last.ckpt", 20, f"{moved}best.ckpt")
    assert best_of(tmp_path) == best
    flip_weight(best)
    with pytest.raises(InputError, match=r"best\.ckpt: corrupt"):
        best_of(tmp_path)


def test_best__may_be_where_its_callback_writes(tmp_path: Path) -> None:
    best = _write(tmp_path / "other" / "best.ckpt", 10)
    _write(tmp_path / "run" / "last.ckpt", 20, str(best))
    assert best_of(tmp_path / "run") == best


@pytest.mark.parametrize("named", [None, "gone.ckpt", "other.ckpt"])
def test_best__is_the_latest_where_none_has_the_score(
    tmp_path: Path, named: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    _write(tmp_path / "other.ckpt", 10, metrics={"val/f1": 0.3})
    latest = _write(tmp_path / "last.ckpt", 20, named)
    assert best_of(tmp_path) == latest
    assert bool(caplog.messages) == (named is not None)


def test_score__is_that_of_the_weights(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ckpt", 10, metrics={"val/f1": 0.5}, validated=10)
    assert has_score(path, "val/f1", torch.tensor(0.5))
    assert has_score(path, "val/other", 0.1)
    assert not has_score(path, "val/f1", 0.6)
    _write(path, 12, metrics={"val/f1": 0.5}, validated=10)
    assert not has_score(path, "val/f1", 0.5)  # trained on behind the validation
    assert has_score(tmp_path / "gone.ckpt", "val/f1", 0.5)
