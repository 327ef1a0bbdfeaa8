from pathlib import Path

import pytest

from lit_hf import InputError
from lit_hf.files.urls import check_local, is_url


@pytest.mark.parametrize("scheme", ["s3", "gs", "hf", "hdfs", "memory", "file", "http", "abfs"])
def test_address__is_known_by_its_scheme(scheme: str) -> None:
    path = f"{scheme}://b/x.csv"
    for name in (path, Path(path), f" {path}", f"filecache::{path}", f"zip://x::{path}"):
        assert is_url(name)
        with pytest.raises(InputError, match=f"`train_file` .*{scheme}:.*on this machine"):
            check_local("train_file", "a.csv", name)


@pytest.mark.parametrize(
    "path", ["C:\\x", "C:/x", "c://x", "/a/b", "x.csv", "at 12:30/x", "a:b/c", "", None, 3]
)
def test_path__of_this_machine_is_none(path: object) -> None:
    assert not is_url(path)
    check_local("train_file", path)


@pytest.mark.parametrize(
    "path",
    ["hf://org/name", "https://huggingface.co/org/name/tree/main", "hf://datasets/org/name/x.csv"],
)
def test_hub__is_given_by_the_id(path: str) -> None:
    with pytest.raises(InputError, match="give the Hub id alone, 'org/name'"):
        check_local("dataset", path)
    with pytest.raises(InputError, match="on this machine"):
        check_local("train_file", path)


def test_bucket__is_no_hub_id() -> None:
    with pytest.raises(InputError, match=r"`dataset` s3://b/x: .*on this machine"):
        check_local("dataset", "s3://b/x")


def test_keys__of_an_address_are_not_told() -> None:
    with pytest.raises(InputError) as caught:
        check_local("train_file", "https://me:s3cr3t@example.org/a.csv?sig=s3cr3t")
    assert "s3cr3t" not in str(caught.value)
