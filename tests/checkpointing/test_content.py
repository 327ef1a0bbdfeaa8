import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_hf.checkpointing.content import check_content, is_stored, unlike
from lit_hf.checkpointing.reader import is_whole, read_checkpoint
from lit_hf.errors import DamagedError


def _lists(num_lists: int) -> list[Any]:
    """A list within a list, and so on."""
    found: list[Any] = []
    for _ in range(num_lists):
        found = [found]
    return found


def _doubled(times: int) -> list[Any]:
    """A list that holds one list twice, and so on: 2 ** times parts."""
    found: list[Any] = [1]
    for _ in range(times):
        found = [found, found]
    return found


def _endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


_STRANGE = {
    "repeated": (torch.zeros(1).expand(10**9), "larger than the file"),
    "doubled": (_doubled(60), "larger than the file"),
    "endless": (_endless(), "without end"),
    "deep": (_lists(200), "without end"),
    "meta": (torch.empty(2, device="meta"), "other objects"),
    "sparse": (torch.eye(3).to_sparse(), "other objects"),
}


@pytest.mark.parametrize("name", _STRANGE)
def test_content__of_no_plain_values_or_larger_than_its_file_is_damage(
    name: str, tmp_path: Path
) -> None:
    value, wanted = _STRANGE[name]
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": {}, "global_step": 3, "x": [value]}, path)
    with pytest.raises(DamagedError, match=rf"a\.ckpt: damaged.*{wanted}"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("global_step", "many"),
        ("global_step", -1),
        ("global_step", 2**70),
        ("loops", [1]),
        ("callbacks", None),
        ("lit_hf", {"metrics": [1]}),
        ("lit_hf", {"rows": {"facts": "x"}}),
        ("hyper_parameters", torch.zeros(3)),
        ("state_dict", {3: torch.zeros(3)}),
    ],
)
def test_content__of_parts_of_another_kind_is_damage(
    name: str, value: object, tmp_path: Path
) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": {}, "global_step": 3, name: value}, path)
    with pytest.raises(DamagedError, match=rf"a\.ckpt: damaged.*{name}"):
        read_checkpoint(path)


def test_content__of_a_training_is_right() -> None:
    weight = torch.zeros(4, 4)
    content = {
        "state_dict": dict.fromkeys(("shared", "encoder", "decoder", "head"), weight),
        "hyper_parameters": {"freqs": torch.zeros(2, dtype=torch.complex64), "names": ["a"]},
        "x": _lists(50),
        "global_step": 0,
    }
    check_content(content, num_bytes=200)


def test_file__that_is_packed_is_not_unpacked(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.ckpt", tmp_path / "packed.ckpt"
    torch.save({"state_dict": {"w": torch.zeros(10_000)}, "global_step": 3}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert is_stored(plain)
    assert is_whole(plain)
    assert not is_stored(packed)
    assert not is_whole(packed)
    with pytest.raises(DamagedError, match="parts are packed"):
        read_checkpoint(packed)


def test_unlike__takes_numbers_of_either_kind_but_for_counts() -> None:
    own = {"lr": 1, "betas": (0.9, 0.99), "best": torch.tensor(torch.inf), "fused": None}
    held = {"lr": 0.5, "betas": [0.8, 1], "best": 3.0, "fused": True, "more": "x"}
    assert unlike(own, held) == ""
    assert unlike({"lr": 1}, {"lr": 0.5}, "x", (int,)) == "x['lr'] is '0.5', expected is one like 1"
    for wrong in (True, "1", None, [1], float("nan"), -1, 2**70, torch.zeros(2)):
        assert unlike({"lr": 1}, {"lr": wrong}, "x").startswith("x['lr'] is")
    assert unlike([0.1], [0.1, 0.2], "x") == "x has 2 parts, expected are 1"
    assert unlike(torch.zeros(2), torch.zeros(3), "x").startswith("x is")
