from itertools import pairwise

import pytest
import yaml

from lit_hf.cli.yaml_scalars import Scalar, Text, load, plain, read_settings, read_yaml, write_yaml


def test_scalars__keep_how_they_are_written() -> None:
    tree = read_yaml("{a: 01, b: '01', c: no, d: null, e: 1e-3, f: 1:30, g: word, h: 0x1F}")
    assert tree == {
        "a": Scalar(1, "01"),
        "b": "01",
        "c": Scalar(False, "no"),
        "d": Scalar(None, "null"),
        "e": Scalar(0.001, "1e-3"),
        "f": "1:30",
        "g": "word",
        "h": Scalar(31, "0x1F"),
    }
    assert isinstance(tree, dict)
    assert type(tree["b"]) is Text
    assert plain(tree)["a"] == 1
    assert type(plain(tree)["b"]) is str


def test_load__gives_values_of_words_and_scalars_of_files() -> None:
    assert load("no") is False
    assert load("word") == "word"
    assert load("[01]") == [Scalar(1, "01")]


@pytest.mark.parametrize("text", ["1e3", "01", "no", "null", "#x", "a\x85b", "\u2028", "1:30", ""])
def test_texts__are_written_so_that_they_stay_texts(text: str) -> None:
    assert read_settings(write_yaml({"a": Text(text), "b": [text]})) == {"a": text, "b": [text]}


def test_yaml__that_is_not_to_be_read_is_a_fault_of_yaml() -> None:
    for text in ("a: [", "\ta: 1", "a: \0", "a: 2020-02-31", "x: !!python/name:os"):
        with pytest.raises(yaml.YAMLError):
            read_yaml(text)


def test_yaml__that_holds_itself_is_refused() -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml("a: &a {b: *a}")


def _of_aliases(form: str) -> str:
    """Lines each of which holds the one before twice."""
    names = ["a", *(f"a{number}" for number in range(40))]
    return "".join(
        f"{new}: &{new} {form.format(f'*{old}', f'*{old}')}\n" for old, new in pairwise(names)
    )


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,  # more than the stack of the C parser holds
        "- " * 500,
        "a: &a [x, x]\n" + _of_aliases("[{}, {}]"),
        "a: &a {x: y}\n" + _of_aliases("{{<<: [{}, {}]}}"),
    ],
)
def test_yaml__that_is_endless_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="more than 100 levels"):
        read_yaml(text)


def test_yaml__with_aliases_is_read() -> None:
    assert read_settings("a: &a {b: [1]}\nc: {<<: *a, d: *a}") == {
        "a": {"b": [1]},
        "c": {"b": [1], "d": {"b": [1]}},
    }
