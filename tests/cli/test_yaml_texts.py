"""A setting reads what was typed by its type, alike on a command line and in a file."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningArgumentParser

from lit_hf import InputError
from lit_hf.cli.parser import OneMessageParser, set_up_parsing
from lit_hf.cli.yaml_texts import Text, dump, load, plain

HOSTILE = "#2 String|~|1e3|01|1.0|1_000|0x1F|12:30|2020-01-01|yes|No|Null||- a|[x]|{a}|a: b|'q'"
HOSTILE += "|x # y|@a|*a|&a|!a|>|:|<<|.inf|{keyword}: {text}|a\nb|a\tb|한국어|--x|a=b|$HOME|\\n|["
texts = st.one_of(
    st.sampled_from(HOSTILE.split("|")),
    st.text(alphabet="#~:-[]{}'\"|>%@&*!,? 01ey.\n", max_size=8),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12),
).filter(lambda text: text.strip() != "null")


class Color(Enum):
    """An own choice."""

    RED = 1
    no = 2


class Odd(Callback):
    """Settings of types that texts, numbers and lists meet in."""

    def __init__(
        self,
        text: str = "x",
        text_or_none: str | None = None,
        texts: str | list[str] | None = None,
        number: int | float | None = None,
        numbers: list[int] | None = None,
        pair: tuple[float, float] = (1.0, 2.0),
        flag: bool = False,
        anything: Any = None,  # noqa: ANN401 - as classes of others have
        extra: dict[str, Any] | None = None,
        choice: Literal["yes", "off"] = "yes",
        color: Color = Color.RED,
        names: tuple[str, ...] = (),
        path: Path | None = None,
        steps: dict[int, int] | None = None,
        save_dir: str | Path | None = "x",
    ) -> None:
        super().__init__()


@pytest.fixture(scope="module")
def parser() -> Iterator[LightningArgumentParser]:
    set_up_parsing(["tests.cli.test_yaml_texts"])
    made = OneMessageParser()
    made.add_argument("--config", action="config")
    made.add_lightning_class_args(Odd, "odd", required=False)
    made.add_lightning_class_args(Callback, "part", subclass_mode=True, required=False)
    yield made
    set_up_parsing([])


def _of_file(parser: LightningArgumentParser, file: Path, text: str) -> dict[str, Any]:
    file.write_text(text, encoding="utf-8")
    return dict(plain(parser.parse_args(["--config", str(file)])).as_dict())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts, other=texts)
def test_text__is_what_was_typed(
    parser: LightningArgumentParser, tmp_path_factory: pytest.TempPathFactory, text: str, other: str
) -> None:
    """By option, by file, in a class, and in the config that a run writes."""
    file = tmp_path_factory.mktemp("config") / "recipe.yaml"
    options = [f"--odd.text={text}", f"--odd.text_or_none={other}"]
    inner = ["--part", f"{__name__}.Odd", f"--part.text={text}", f"--part.text_or_none={other}"]
    by_option = plain(parser.parse_args([*options, *inner]))
    given_texts = {"text": text, "text_or_none": other, "texts": [text, other]}
    spec = {"class_path": f"{__name__}.Odd", "init_args": given_texts}
    by_file = _of_file(parser, file, yaml.safe_dump({"odd": given_texts, "part": spec}))
    written = _of_file(parser, file, parser.dump(by_option, skip_unset=False))
    for found in (by_option.as_dict(), by_file, written):
        for part in (found["odd"], found["part"]["init_args"]):
            assert (part["text"], part["text_or_none"]) == (text, other)
    assert by_file["odd"]["texts"] == [text, other]


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("text", "null", "null"),
        ("text_or_none", "null", None),
        ("text_or_none", "~", "~"),
        ("texts", "[01, no, ~, null, 1.0]", ["01", "no", "~", "null", "1.0"]),
        ("number", "1", 1),
        ("number", "1e-2", 0.01),
        ("number", ".inf", float("inf")),
        ("number", "010", 10),
        ("numbers", "[1, 2]", [1, 2]),
        ("pair", "[0.9, 1e-3]", (0.9, 0.001)),
        ("flag", "yes", True),
        ("anything", "red", "red"),
        ("anything", "[1, a]", [1, "a"]),
        ("extra", "{a: 01, b: {c: [1e-3, null, x]}}", {"a": 1, "b": {"c": [0.001, None, "x"]}}),
        ("choice", "off", "off"),
        ("color", "no", Color.no),
        ("names", "[01, no]", ("01", "no")),
        ("path", "01", Path("01")),
        ("steps", "{0: 2}", {0: 2}),
        ("save_dir", "null", None),
    ],
)
def test_word__is_read_by_the_type_of_its_setting(
    parser: LightningArgumentParser, tmp_path: Path, name: str, word: str, value: object
) -> None:
    by_option = plain(parser.parse_args([f"--odd.{name}", word])).as_dict()
    by_file = _of_file(parser, tmp_path / "recipe.yaml", f"odd:\n  {name}: {word}\n")
    written = parser.dump(parser.parse_object(by_file), skip_unset=False)
    again = _of_file(parser, tmp_path / "recipe.yaml", written)
    for found in (by_option, by_file, again):
        assert found["odd"][name] == value
        assert type(found["odd"][name]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("odd:\n  text: #2 String\n", "line 2: YAML reads '#2 String' as a comment"),
        ("odd:\n  texts:\n  - #1\n", "line 3: YAML reads '#1' as a comment"),
        ("odd: {text: [a]}", r"odd\.text: Expected a str\. Got value: \['a'\]"),
        ("a: [", "not find expected node"),
        ("odd: !!python/object:os.system {}", "could not determine a constructor"),
    ],
)
def test_file__that_is_no_yaml_or_no_text_is_refused(
    parser: LightningArgumentParser, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        _of_file(parser, tmp_path / "recipe.yaml", text)


def test_comment__behind_a_name_is_one(parser: LightningArgumentParser, tmp_path: Path) -> None:
    text = "odd: # all\n  texts: # two\n  - a # one\n  - b\n  text_or_none:\n"
    found = _of_file(parser, tmp_path / "recipe.yaml", text)["odd"]
    assert (found["texts"], found["text_or_none"]) == (["a", "b"], None)


def test_dump__hides_keys_of_addresses_and_is_read_back_as_values() -> None:
    text = dump({"uri": Text("https://me:s3cr3t@e.org/?sig=s3cr3t"), "lr": 0.1, "name": "01"})
    assert "s3cr3t" not in text
    assert load(text) == {"uri": "https://***@e.org/?sig=***", "lr": 0.1, "name": "01"}
