import csv
from collections.abc import Iterator
from enum import Enum
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser

from lit_hf import HFDataModule, InputError
from lit_hf.cli.parser import OneMessageParser, set_up_parsing
from lit_hf.cli.run_config import config_of_run
from lit_hf.cli.text_settings import as_declared
from lit_hf.cli.yaml_scalars import Scalar, plain, read_settings, write_yaml
from tests.commands import run_command

HOSTILE = [
    *("#2 String", "#1 ID", "~", "1e3", "01", "007", "1.0", "1_000", "0x1F", "12:30", "2020-01-01"),
    *(
        "yes",
        "No",
        "on",
        "True",
        "FALSE",
        "Null",
        "NULL",
        "",
        " ",
        "- a",
        "-",
        "[x]",
        "{a}",
        "a: b",
    ),
    *('"q"', "'q'", "x # y", "@a", "%a", "`a", "*a", "&a", "!a", "|", ">", "?", ":", "=", "<<"),
    *(".inf", ".nan", "{keyword}: {text}", "[SEP] {text}", "a\nb", "a\tb", "\ttab", "é", "한국어"),
    *("--x", "a=b", "a,b", "$HOME", "\\n", "[", "]", "{", "}", "\u2028", "\x85", "\ufeffa", "\x1b"),
]
# No option and no file of text can hold NUL, carriage returns become line feeds, half surrogates
# are no text.
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(alphabet="#~:-[]{}'\"|>%@&*!,? 01ey.\n", max_size=8),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
)


class Color(Enum):
    """An own choice."""

    RED = 1
    no = 2


class Odd(Callback):
    """Settings of types that texts, numbers and lists meet in."""

    def __init__(
        self,
        text_or_int: str | int | None = None,
        text_or_bool: str | bool = "x",
        numbers: list[int] | None = None,
        pair: tuple[float, float] = (1.0, 2.0),
        weights: dict[str, float] | None = None,
        mixed: list[str | int] | None = None,
        anything: Any = None,  # noqa: ANN401 - as classes of others have
        extra: dict[str, Any] | None = None,
        choice: Literal["yes", "off"] = "yes",
        color: Color = Color.RED,
        nested: list[list[str]] | None = None,
        paths: list[Path] | None = None,
        names: tuple[str, ...] = (),
        path: Path | None = None,
        rate: float | None = None,
        cells: dict[str, str | None] | None = None,
        steps: dict[int, int] | None = None,
        count: int = 1,
        any_path: str | PathLike[str] | None = None,
        plain_path: PathLike | None = None,  # type: ignore[type-arg]  # as others write it
    ) -> None:
        super().__init__()


class Foreign(Callback):
    """A class of a user's own, with a text among settings of all kinds."""

    def __init__(
        self,
        name: str,
        title: str | None = None,
        tags: dict[str, str] | None = None,
        size: int | float | str = 1,
        flag: bool = False,
        names: list[str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self.settings: list[object] = [name, title, tags, size, flag, names, extra]


@pytest.fixture(scope="module")
def parser() -> Iterator[LightningArgumentParser]:
    set_up_parsing(["tests.cli.test_text_settings"])
    made = OneMessageParser()
    made.add_argument("--config", action="config")
    made.add_lightning_class_args(HFDataModule, "data", subclass_mode=True, required=False)
    made.add_lightning_class_args(Foreign, "own", required=False)
    made.set_defaults({"own.name": "n"})
    made.add_lightning_class_args(Odd, "odd", required=False)
    yield made
    set_up_parsing([])


def _data(parser: LightningArgumentParser, *words: str) -> dict[str, Any]:
    base = ["--data", "TextClassificationDataModule", "--data.model_name", "m"]
    return dict(plain(parser.parse_args([*base, *words])).as_dict()["data"]["init_args"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts, other=texts, third=texts)
def test_text__reaches_the_model_by_option_by_file_and_by_the_config_that_a_run_writes(
    parser: LightningArgumentParser,
    tmp_path_factory: pytest.TempPathFactory,
    text: str,
    other: str,
    third: str,
) -> None:
    given_texts = {"text_column": text, "text_template": other, "id_column": third}
    wanted = {name: value if value != "null" else None for name, value in given_texts.items()}
    wanted["text_column"] = text  # which cannot be None
    by_option = _data(parser, *(f"--data.{name}={value}" for name, value in given_texts.items()))
    assert {name: by_option[name] for name in wanted} == wanted

    folder = tmp_path_factory.mktemp("config")
    file = folder / "recipe.yaml"
    spec = {
        "class_path": "TextClassificationDataModule",
        "init_args": {**given_texts, "model_name": "m"},
    }
    for written in (yaml.safe_dump({"data": spec}), write_yaml({"data": spec})):
        file.write_text(written, encoding="utf-8")
        found = plain(parser.parse_args(["--config", str(file)]))
        by_file = found.as_dict()["data"]["init_args"]
        assert {name: by_file[name] for name in given_texts} == given_texts

    dumped = parser.dump(found, skip_unset=False)  # --print_config, config.yaml
    file.write_text(dumped, encoding="utf-8")
    again = plain(parser.parse_args(["--config", str(file)])).as_dict()["data"]["init_args"]
    assert again == by_file
    assert read_settings(write_yaml(read_settings(dumped))) == read_settings(dumped)  # --run


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(texts, min_size=1, max_size=4))
def test_list_of_texts__reaches_the_model_by_file(
    parser: LightningArgumentParser, tmp_path_factory: pytest.TempPathFactory, values: list[str]
) -> None:
    file = tmp_path_factory.mktemp("config") / "recipe.yaml"
    args = {"model_name": "m", "label_names": values, "train_file": values}
    spec = {"class_path": "TextClassificationDataModule", "init_args": args}
    file.write_text(yaml.safe_dump({"data": spec}), encoding="utf-8")
    found = plain(parser.parse_args(["--config", str(file)])).as_dict()["data"]["init_args"]
    assert (found["label_names"], found["train_file"]) == (values, values)


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("[01, no, ~, null, 1.0]", ["01", "no", "~", "null", "1.0"]),
        ("[\"a, b\", '#c']", ["a, b", "#c"]),
        ('["it\'s", "say \\"x\\""]', ["it's", 'say "x"']),
    ],
)
def test_list_of_texts__on_a_command_line_is_one_of_yaml(
    parser: LightningArgumentParser, word: str, names: list[str]
) -> None:
    assert _data(parser, f"--data.label_names={word}")["label_names"] == names
    assert _data(parser, "--data.train_file", word)["train_file"] == names


def test_plain_scalars_of_yaml__are_texts_for_a_text_setting_and_values_for_others(
    parser: LightningArgumentParser, tmp_path: Path
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "own:\n  name: null\n  title: ~\n  tags: {a: 01, b: no}\n  size: 1e-2\n  flag: yes\n"
        "  names: [null, 2020-01-01, True]\n"
        "  extra: {stage: 2, deep: {on: true, lr: 1e-3, none: null, text: 'null'}}\n"
    )
    own = plain(parser.parse_args(["--config", str(file)])).as_dict()["own"]
    assert own == {
        "name": "null",
        "title": "~",
        "tags": {"a": "01", "b": "no"},
        "size": 0.01,
        "flag": True,
        "names": ["null", "2020-01-01", "True"],
        "extra": {
            "stage": 2,
            "deep": {True: True, "lr": 0.001, "none": None, "text": "null"},
        },
    }


def test_words__of_a_class_of_the_users_own(parser: LightningArgumentParser) -> None:
    words = ["--own.name", "null", "--own.title", "null", "--own.size", "01", "--own.tags.a", "#b"]
    own = plain(parser.parse_args([*words, "--own.flag", "no"])).as_dict()["own"]
    assert (own["name"], own["title"], own["size"]) == ("null", None, 1)
    assert (own["tags"], own["flag"]) == ({"a": "#b"}, False)


@pytest.mark.parametrize(
    "line", ["text_column: #2 String", "pair_column:   #1 ID", "label_names:\n      - #1"]
)
def test_comment__in_place_of_a_value_is_refused(
    parser: LightningArgumentParser, tmp_path: Path, line: str
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "data:\n  class_path: TextClassificationDataModule\n  init_args:\n"
        f"    model_name: m # a comment\n    {line}\n"
    )
    with pytest.raises(InputError, match=r"line \d: YAML reads '#.*in quotes"):
        parser.parse_args(["--config", str(file)])


def test_comment__behind_a_name_whose_value_follows_is_one(
    parser: LightningArgumentParser, tmp_path: Path
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "data: # the rows\n  class_path: TextClassificationDataModule\n  init_args: # all\n"
        "    model_name: m # a comment\n    label_names: # two\n      - a\n      - b\n"
    )
    found = plain(parser.parse_args(["--config", str(file)])).as_dict()["data"]["init_args"]
    assert found["label_names"] == ["a", "b"]


@pytest.mark.parametrize("line", ["text_template: {keyword}", "text_column: [a]"])
def test_text__that_yaml_takes_for_a_list_or_an_object_is_refused_by_name(
    parser: LightningArgumentParser, tmp_path: Path, line: str
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "data:\n  class_path: TextClassificationDataModule\n  init_args:\n"
        f"    model_name: m\n    {line}\n"
    )
    with pytest.raises(InputError, match=rf"{line.split(':')[0]}: .*in quotes"):
        parser.parse_args(["--config", str(file)])


def test_scalar__is_what_its_type_takes() -> None:
    scalar = Scalar(1.0, "1.0")
    assert as_declared(scalar, str | None) == "1.0"
    assert as_declared(scalar, float | None) == 1.0
    assert as_declared(scalar, dict[str, int]) == 1.0  # which jsonargparse refuses
    assert as_declared(Scalar(None, "null"), str | None) is None
    assert as_declared([Scalar(1, "01")], str | list[str]) == ["01"]


def test_run__with_columns_of_hostile_names_reads_the_right_ones(
    tiny_model: str, tmp_path: Path
) -> None:
    columns = ["#2 String", "~", "1e3", "01"]
    with (tmp_path / "train.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(columns)
        rows.writerows([f"fire {n}", f"in town {n}", f"{n % 2}", f"row{n}"] for n in range(12))
    options = {
        "text_column": columns[0],
        "pair_column": columns[1],
        "label_column": columns[2],
        "id_column": columns[3],
        "text_template": "null",
    }
    done = run_command(
        *("fit", "--model", "TextClassifier", "--model.model_name", tiny_model),
        *("--data", "TextClassificationDataModule", "--data.train_file", "train.csv"),
        *(word for name, value in options.items() for word in (f"--data.{name}", value)),
        *("--trainer.default_root_dir", "run", "--trainer.max_epochs", "1"),
        *("--trainer.accelerator", "cpu", "--trainer.logger", "false"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    samples = (tmp_path / "run" / "samples.jsonl").read_text(encoding="utf-8")
    assert "‖ in town" in samples  # both sentences of the pair
    written = read_settings(config_of_run(tmp_path / "run", "predict"))["data"]["init_args"]
    assert {name: written[name] for name in options} == {**options, "text_template": None}
    done = run_command(
        *("predict", "--run", "run", "--data.predict_file", "train.csv"),
        *("--trainer.accelerator", "cpu"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    head = (tmp_path / "run" / "submission.csv").read_text(encoding="utf-8").splitlines()[:2]
    assert head[0] == "01,1e3"
    assert head[1].startswith("row0,")


def test_template__of_a_command_line_is_in_no_quotes(tiny_model: str, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(
        "keyword,text,label\n" + "".join(f"fire,in town {n},{n % 2}\n" for n in range(8))
    )
    done = run_command(
        *("fit", "--model", "TextClassifier", "--model.model_name", tiny_model),
        *("--data", "TextClassificationDataModule", "--data.train_file", "train.csv"),
        *("--data.text_template", "{keyword}: {text}", "--trainer.default_root_dir", "run"),
        *("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.logger", "false"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    samples = (tmp_path / "run" / "samples.jsonl").read_text(encoding="utf-8")
    assert '"input": "fire: in town' in samples


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("text_or_int", "01", 1),
        ("text_or_int", "no", "no"),
        ("text_or_int", "null", None),
        ("text_or_bool", "no", False),
        ("numbers", "[1, 2]", [1, 2]),
        ("pair", "[0.9, 1e-3]", (0.9, 0.001)),
        ("weights", "{a: 0.5}", {"a": 0.5}),
        ("mixed", "[01, no]", [1, "no"]),
        ("anything", "red", "red"),
        ("anything", "[1, a]", [1, "a"]),
        ("extra", "{a: 01, b: red}", {"a": 1, "b": "red"}),
        ("choice", "off", "off"),
        ("color", "no", Color.no),
        ("nested", "[[01, no]]", [["01", "no"]]),
        ("paths", "[01, no]", [Path("01"), Path("no")]),
        ("names", "[01, no]", ("01", "no")),
        ("path", "01", Path("01")),
        ("rate", ".inf", float("inf")),
        ("cells", "{01: 01, b: null}", {"01": "01", "b": None}),
        ("steps", "{0: 2}", {0: 2}),
        ("count", "010", 10),
        ("any_path", "null", None),
        ("any_path", "01", "01"),
        ("plain_path", "null", None),
        ("plain_path", "no", "no"),
    ],
)
def test_word__is_read_by_the_type_of_its_setting_alike_on_the_command_line_and_in_a_file(
    parser: LightningArgumentParser, tmp_path: Path, name: str, word: str, value: object
) -> None:
    file = tmp_path / "recipe.yaml"
    by_option = parser.parse_args([f"--odd.{name}", word])
    file.write_text(f"odd:\n  {name}: {word}\n")
    by_file = parser.parse_args(["--config", str(file)])
    file.write_text(parser.dump(by_file))
    again = parser.parse_args(["--config", str(file)])
    for found in (by_option, by_file, again):
        assert plain(found).as_dict()["odd"][name] == value


def test_word__that_yaml_takes_for_a_comment_stays_a_text(parser: LightningArgumentParser) -> None:
    found = plain(parser.parse_args(["--odd.text_or_int", "#x"]))
    assert found.as_dict()["odd"]["text_or_int"] == "#x"


def test_settings__of_a_class_as_an_object_on_the_command_line(
    parser: LightningArgumentParser,
) -> None:
    spec = '{"class_path": "TextClassificationDataModule", "init_args": {"text_column": "01"}}'
    found = plain(parser.parse_args(["--data", spec, "--data.model_name", "m"])).as_dict()
    assert found["data"]["init_args"]["text_column"] == "01"
    trainer = OneMessageParser()
    trainer.add_lightning_class_args(Trainer, "trainer")
    words = ["--trainer.devices", "[0, 1]", "--trainer.max_time", "{minutes: 1}"]
    found = plain(trainer.parse_args(words)).as_dict()["trainer"]
    assert (found["devices"], found["max_time"]) == ([0, 1], {"minutes": 1})
