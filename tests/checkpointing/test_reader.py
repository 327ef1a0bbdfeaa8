"""Files of checkpoints: damaged, strange, the newest, the best."""

import warnings
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from lit_hf import InputError
from lit_hf.checkpointing.reader import (
    best_of,
    is_whole,
    latest_valid_checkpoint,
    load_verified,
    read_checkpoint,
)
from lit_hf.errors import DamagedError
from tests.damage import flip_weight


def _write(path: Path, step: int, callbacks: object = None) -> Path:
    """A small file with the parts of a Lightning checkpoint that are looked at."""
    content = {"state_dict": {"w": torch.arange(300.0)}, "global_step": step}
    torch.save({**content, "callbacks": callbacks or {}}, path)
    return path


# Damage.


def test_read__tells_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no such checkpoint file\.$"):
        read_checkpoint(tmp_path / "none.ckpt")
    with pytest.raises(InputError, match=r"no such checkpoint file\. `--run DIR` alone takes"):
        read_checkpoint("best")
    with pytest.raises(
        InputError, match=r"a folder, wanted is a file.*save_distributed_checkpoint"
    ):
        read_checkpoint(tmp_path)
    assert not is_whole(tmp_path / "none.ckpt")
    assert not is_whole(tmp_path)


def test_read__of_the_folder_of_a_run_names_its_best_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    state = {"monitor": "f1", "best_model_score": torch.tensor(0.5), "best_model_path": "a.ckpt"}
    _write(folder / "a.ckpt", 1)
    _write(folder / "last.ckpt", 2, {"ModelCheckpoint": state})
    for path in (tmp_path, folder):
        with pytest.raises(InputError, match=rf"a folder, .* is {folder / 'a.ckpt'}"):
            read_checkpoint(path)


def test_read__gives_what_was_written(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ckpt", 7)
    assert is_whole(path)
    content = read_checkpoint(str(path))
    assert cast("int", content["global_step"]) == 7
    assert torch.equal(cast("Tensor", content["state_dict"]["w"]), torch.arange(300.0))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_damage__of_a_truncated_file_is_told(tmp_path: Path, share: float) -> None:
    path = _write(tmp_path / "a.ckpt", 7)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert not is_whole(path)
    with pytest.raises(InputError, match="damaged"):
        read_checkpoint(path)


def test_damage__of_any_flipped_byte_is_told_or_harmless(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ckpt", 7, {"x": {"monitor": "val/f1", "best_model_path": "b"}})
    content = path.read_bytes()
    weights = content.index(torch.arange(300.0).numpy().tobytes())
    harmless = 0
    for place in range(0, len(content), 11):
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        path.write_bytes(flipped)
        whole, read = is_whole(path), None
        with suppress(InputError):
            read = read_checkpoint(path)
        if whole and read is not None:  # alignment, and fields that nobody reads
            assert cast("int", read["global_step"]) == 7, place
            assert torch.equal(cast("Tensor", read["state_dict"]["w"]), torch.arange(300.0)), place
            assert "x" in read["callbacks"], place
            assert not weights <= place < weights + 1200
            harmless += 1
    assert harmless < len(content) / 11 * 0.6


def test_damage__of_one_bit_of_the_weights_is_told_where_they_are_used(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ckpt", 7)
    assert torch.equal(cast("Tensor", load_verified(path)["state_dict"]["w"]), torch.arange(300.0))
    flip_weight(path)
    wanted = r"a\.ckpt: damaged, a part of it has another checksum than.*Give another checkpoint"
    with pytest.raises(DamagedError, match=wanted):
        load_verified(path)


def test_damage__of_the_pickle_version_is_told(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ckpt", 7)
    content = path.read_bytes()
    assert content.count(b"\x80\x02}") == 1
    path.write_bytes(content.replace(b"\x80\x02}", b"\x80\xfd}"))
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as in a program, not as in these tests
        with pytest.raises(InputError, match=r"damaged, or no checkpoint .*protocol 253"):
            read_checkpoint(path)


def test_damage__of_an_empty_file_is_told(tmp_path: Path) -> None:
    (path := tmp_path / "a.ckpt").touch()
    with pytest.raises(DamagedError, match="the file is empty"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"no zip at all", b"\x80\x02}q\x00."])
def test_damage__of_something_else_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(content)
    assert not is_whole(path)
    with pytest.raises(InputError, match="damaged"):
        read_checkpoint(path)


def test_read__refuses_another_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(InputError, match="damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [{"weights": {}}, [1, 2], torch.zeros(2)])
def test_read__refuses_what_is_no_lightning_checkpoint(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="no Lightning checkpoint"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_read__runs_no_code(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> tuple[Any, Sequence[object]]:
            return Path.touch, (tmp_path / "code-ran",)

    torch.save({"state_dict": {}, "x": Bad()}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="holds other objects than plain data"):
        read_checkpoint(tmp_path / "a.ckpt")
    assert not (tmp_path / "code-ran").exists()


# Which one.


def test_newest__has_the_most_steps_and_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert latest_valid_checkpoint(tmp_path) is None
    assert latest_valid_checkpoint(tmp_path / "no-such-folder") is None
    _write(tmp_path / "z-early.ckpt", 9)
    late = _write(tmp_path / "a-late.ckpt", 100)
    broken = _write(tmp_path / "m-broken.ckpt", 1000)
    broken.write_bytes(broken.read_bytes()[:-40])
    empty = tmp_path / "empty.ckpt"
    empty.write_bytes(b"")
    (tmp_path / "folder.ckpt").mkdir()
    torch.save({"global_step": 5000}, tmp_path / "other.ckpt")
    with zipfile.ZipFile(tmp_path / "zip.ckpt", "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert latest_valid_checkpoint(tmp_path) == late
    assert caplog.messages == [
        f"{empty}, {broken}: damaged; the newest whole checkpoint is {late}."
    ]


def test_newest__of_damaged_ones_only_is_no_fresh_start(tmp_path: Path) -> None:
    path = _write(tmp_path / "last.ckpt", 9)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"last\.ckpt: damaged.*Remove it to start afresh"):
        latest_valid_checkpoint(tmp_path)


def test_newest__of_a_last_one_with_code_is_no_fresh_start_and_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bad:
        def __reduce__(self) -> tuple[Any, Sequence[object]]:
            return Path.touch, (tmp_path / "code-ran",)

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = _write(tmp_path / "last.ckpt", 9)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "optimizer_states": [Bad()]}, path)
    with pytest.raises(InputError, match=r"holds other objects .* move it away to start afresh"):
        latest_valid_checkpoint(tmp_path)
    good = _write(tmp_path / "a.ckpt", 5)
    assert latest_valid_checkpoint(tmp_path) == good
    assert not (tmp_path / "code-ran").exists()


def test_newest__is_the_last_one_of_equally_many_steps(tmp_path: Path) -> None:
    for name in ("a", "last", "z"):
        _write(tmp_path / f"{name}.ckpt", 5)
    assert latest_valid_checkpoint(tmp_path) == tmp_path / "last.ckpt"


def _saver(path: str, monitor: str | None = "val/f1") -> dict[str, object]:
    return {"monitor": monitor, "best_model_path": path}


@pytest.mark.parametrize("moved", ["/moved/since/", "C:\\moved\\since\\"])
def test_best__is_the_one_that_the_newest_names(tmp_path: Path, moved: str) -> None:
    assert best_of(tmp_path) is None
    best = _write(tmp_path / "best.ckpt", 10, {"S": _saver("/elsewhere/old.ckpt")})
    _write(
        tmp_path / "last.ckpt",
        20,
        {
            "LastCheckpoint": _saver(f"{moved}last.ckpt", monitor=None),
            "ModelCheckpoint": _saver(f"{moved}best.ckpt"),
        },
    )
    assert best_of(tmp_path) == best


def test_best__may_lie_where_its_callback_writes(tmp_path: Path) -> None:
    other, folder = tmp_path / "other", tmp_path / "checkpoints"
    other.mkdir()
    folder.mkdir()
    best = _write(other / "best.ckpt", 10)
    _write(folder / "last.ckpt", 20, {"S": _saver(str(best))})
    assert best_of(folder) == best


@pytest.mark.parametrize("named", ["", "gone.ckpt"])
def test_best__is_the_newest_where_none_is_named_or_there(
    tmp_path: Path, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    _write(tmp_path / "a.ckpt", 10, {"S": _saver(named)})
    newest = _write(tmp_path / "b.ckpt", 20, {"S": _saver(named)})
    assert best_of(tmp_path) == newest
    assert ("is not there" in caplog.text) is bool(named)


def test_best__that_is_damaged_is_no_reason_to_take_another(tmp_path: Path) -> None:
    best = _write(tmp_path / "best.ckpt", 10)
    _write(tmp_path / "last.ckpt", 20, {"S": _saver("best.ckpt")})
    content = bytearray(best.read_bytes())
    weights = content.index(torch.arange(300.0).numpy().tobytes())
    content[weights + 600] ^= 0xFF  # torch reads this without a word
    best.write_bytes(content)
    with pytest.raises(InputError, match=r"best\.ckpt: the best checkpoint is damaged"):
        best_of(tmp_path)
