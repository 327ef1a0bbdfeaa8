from pathlib import Path

import pytest

from lit_hf import InputError
from lit_hf.files.urls import check_local, is_url


@pytest.mark.parametrize("scheme", ["s3", "gs", "hf", "memory", "file", "http"])
def test_address__is_known_by_its_scheme(scheme: str) -> None:
    path = f"{scheme}://b/x.csv"
    for name in (path, Path(path), f" {path}", f"filecache::{path}"):
        assert is_url(name)
        with pytest.raises(InputError, match=f"`train_file` .*{scheme}:.*on this machine"):
            check_local("train_file", "a.csv", name)


@pytest.mark.parametrize("path", ["C:\\x", "C:/x", "c://x", "/a/b", "at 12:30/x", "", None, 3])
def test_path__of_this_machine_is_none(path: object) -> None:
    assert not is_url(path)
    check_local("train_file", path)


def test_keys__of_an_address_are_not_shown() -> None:
    with pytest.raises(InputError) as caught:
        check_local("dataset", "https://me:s3cr3t@example.org/a.csv?sig=s3cr3t")
    assert "s3cr3t" not in str(caught.value)
    assert "or a Hub id" in str(caught.value)
