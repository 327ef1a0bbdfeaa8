import os
from pathlib import Path
from typing import Any

import pytest

from lit_hf.files.run_paths import header, leading_out, started_in, with_absolute_paths
from tests.pipes import filled_pipe, needs_pipes


def _config(**settings: object) -> dict[str, Any]:
    data = {name: value for name, value in settings.items() if name != "model_name"}
    return {
        "trainer": {
            "logger": [{"class_path": "CSVLogger", "init_args": {"save_dir": "logs"}}],
            "callbacks": None,
        },
        "model": {"class_path": "M", "init_args": {"model_name": settings.get("model_name")}},
        "data": {"class_path": "D", "init_args": data},
    }


@pytest.mark.parametrize("name", ["plain", 'with "quotes" and\nlines', "자료", "a\udcff"])
def test_header__says_where_the_run_was_started(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getcwd", lambda: str(tmp_path / name))
    (tmp_path / "config.yaml").write_text(header() + "trainer: {}\n", encoding="utf-8")
    assert started_in(tmp_path / "config.yaml") == str(tmp_path / name)


def test_header__that_is_not_there_or_not_ours_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    assert started_in(path) is None
    number = header().partition('"')[0] + "5\n"
    for content in ("trainer: {}\n", "# Relative paths start at home\n", "", "\0", '"/a"', number):
        path.write_text(content)
        assert started_in(path) is None
    path.write_bytes(b"\xff\xfe")
    assert started_in(path) is None
    assert started_in(tmp_path / ("a" * 300) / "config.yaml") is None  # no system takes the name


def test_paths__are_those_of_the_folder_and_texts_stay_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home / "tables", home / "bert", here / "tables", here / "other"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    given = _config(
        train_file="train.csv",
        val_file=["a.csv", "/abs/b.csv"],
        test_file="part-*.csv",
        predict_file=None,
        dataset="tables",
        text_column="tables",
        text_template="tables/x.csv",
        model_name="bert",
    )
    found = with_absolute_paths(given, str(home))
    data = found["data"]["init_args"]
    assert data == {
        "train_file": str(home / "train.csv"),
        "val_file": [str(home / "a.csv"), "/abs/b.csv"],
        "test_file": str(home / "part-*.csv"),
        "predict_file": None,
        "dataset": str(home / "tables"),
        "text_column": "tables",
        "text_template": "tables/x.csv",
    }
    assert found["model"]["init_args"] == {"model_name": str(home / "bert")}
    assert found["trainer"]["logger"][0]["init_args"] == {"save_dir": str(home / "logs")}
    assert given["trainer"]["logger"][0]["init_args"] == {"save_dir": "logs"}
    assert with_absolute_paths(found, str(here)) == found


def test_names__are_paths_where_the_folder_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    (home / "org").mkdir(parents=True)
    (here / "org" / "mine").mkdir(parents=True)
    monkeypatch.chdir(here)

    def read(name: str) -> object:
        found = with_absolute_paths(_config(model_name=name), str(home))
        return found["model"]["init_args"]["model_name"]

    assert read("org/name") == "org/name"  # a Hub id
    assert read("org") == str(home / "org")
    # A folder that is only here is another one than that of the run.
    assert read("org/mine") == str(home / "org" / "mine")
    bundled = "configs/image_classification/vit_32"
    assert read(bundled) == bundled
    (here / bundled).mkdir(parents=True)
    assert read(bundled) == bundled
    url = _config(train_file="s3://bucket/x.csv")
    assert with_absolute_paths(url, str(home))["data"] == url["data"]


def test_files__that_the_package_brings_keep_their_names(tmp_path: Path) -> None:
    name = "lit_hf/assets/tweets/train.csv"
    found = with_absolute_paths(_config(train_file=name), str(tmp_path))
    assert found["data"]["init_args"]["train_file"] == name
    own = tmp_path / name
    own.parent.mkdir(parents=True)
    own.write_text("text,label\n")
    found = with_absolute_paths(_config(train_file=name), str(tmp_path))
    assert found["data"]["init_args"]["train_file"] == str(own)


def test_pattern__in_a_folder_whose_name_is_one_too(tmp_path: Path) -> None:
    home = tmp_path / "set[1]"
    home.mkdir()
    found = with_absolute_paths(_config(train_file="*.csv"), str(home))
    assert found["data"]["init_args"]["train_file"] == f"{tmp_path}/set[[]1]/*.csv"
    (home / "a[1].csv").touch()
    for name in ("a[1].csv", "train.csv", "/abs/*.csv"):
        found = with_absolute_paths(_config(train_file=name), str(home))
        assert found["data"]["init_args"]["train_file"] == os.path.join(home, name)


def test_parts__without_settings_stay(tmp_path: Path) -> None:
    trainer = {"logger": True, "callbacks": [{"class_path": "C"}, {"class_path": "D"}]}
    config = {"model": None, "data": {"class_path": "D"}, "trainer": trainer}
    assert with_absolute_paths(config, str(tmp_path)) == config


@needs_pipes
def test_start__is_not_read_from_a_pipe(tmp_path: Path) -> None:
    with filled_pipe(tmp_path / "config.yaml", header()):
        assert started_in(tmp_path / "config.yaml") is None


def test_start__of_endless_brackets_is_none(tmp_path: Path) -> None:
    beginning = header().partition('"')[0]
    (tmp_path / "config.yaml").write_text(beginning + "[" * 100_000)
    assert started_in(tmp_path / "config.yaml") is None


@pytest.mark.parametrize(
    ("name", "value", "is_outside"),
    [
        ("save_dir", "/elsewhere", True),
        ("save_dir", "RUN/logs", False),
        ("save_dir", "RUN/../other", True),
        ("save_dir", "logs", True),  # of the working folder
        ("save_dir", "~/logs", True),
        ("save_dir", "$HOME", True),
        ("name", "tweets", False),
        ("name", "../../tweets", True),
        ("filename", "{epoch}-{val/f1:.2f}", False),
        ("tracking_uri", "https://example.org", True),
        ("root", "RUN/link", True),
    ],
)
def test_paths__that_lead_out_of_the_run_folder_are_found(
    name: str, value: str, is_outside: bool, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "link").symlink_to(tmp_path)
    settings = {name: value.replace("RUN", str(run))}
    trainer: dict[str, object] = {
        "logger": [{"class_path": "a.Logger", "init_args": settings}],
        "accelerator": "cpu",
    }
    trainer |= {"max_epochs": 3, "max_time": None, "precision": "a\0b"}
    told = [f"trainer.logger.{name} is {settings[name]!r}"] if is_outside else []
    assert leading_out(trainer, run) == told
