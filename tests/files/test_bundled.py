import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lit_hf import InputError
from lit_hf.files.bundled import (
    bundled_path,
    find_bundled,
    find_recipe,
    list_recipes,
    read_recipe,
    recipe_names,
    recipes_first,
    recipes_folder,
    short_name,
)
from tests.commands import output_of, run_command

ROOT = Path(__file__).parents[2]


def test_recipes__are_all_listed_with_what_they_are() -> None:
    files = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml")}
    assert {f"{name}.yaml" for name in recipe_names()} == {path.as_posix() for path in files}
    lines = list_recipes().splitlines()
    assert len(lines) == len(files)
    assert all(len(line.split(maxsplit=1)[1]) > 20 for line in lines)
    assert max(map(len, lines)) < 140


@pytest.mark.parametrize(
    "name",
    [
        "text_classification/demo",
        "text_classification/demo.yaml",
        "configs/text_classification/demo.yaml",
    ],
)
def test_recipe__is_found_by_its_name_from_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = find_recipe(name)
    assert Path(path).read_text() == (ROOT / "configs/text_classification/demo.yaml").read_text()
    words = ["--model.x", "--config", name, "--data.y=2", f"--config={name}", "--config", "{a: 1}"]
    assert recipes_first(words) == ([path, path, "{a: 1}"], [], ["--model.x", "--data.y=2"])


def test_recipe__a_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text_classification").mkdir()
    (tmp_path / "text_classification" / "demo").write_text("mine: 1\n")
    assert find_recipe("text_classification/demo") == "text_classification/demo"
    assert read_recipe("text_classification/demo") == "mine: 1\n"


def test_recipe__that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no such file.*lit-hf recipes.*text_classification/demo"):
        find_recipe("text_classification/dmeo.yaml")
    done = run_command("fit", "--config", "nothing.yaml", folder=ROOT)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--config nothing.yaml" in done.stderr


def test_recipe__by_a_path_of_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no such file"):
        find_recipe("C:\\my runs\\tweets.yaml")
    assert find_recipe("data: my.yaml") == "data: my.yaml"
    monkeypatch.setattr(os, "sep", "\\")  # as on Windows
    path = find_recipe("text_classification\\demo")
    assert Path(path) == recipes_folder() / "text_classification" / "demo.yaml"


def test_bundled__files_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tweets = "lit_hf/assets/tweets/train.csv"
    assert Path(find_bundled(tweets)).read_bytes() == (ROOT / tweets).read_bytes()
    vit = find_bundled("configs/image_classification/vit_32")
    assert Path(vit) == recipes_folder() / "image_classification" / "vit_32"
    for name in ("lit_hf/nothing", "elsewhere/x", "x", "/lit_hf/assets", ""):
        assert find_bundled(name) == name
    (tmp_path / "lit_hf" / "assets" / "tweets").mkdir(parents=True)
    (tmp_path / tweets).touch()
    assert find_bundled(tweets) == tweets  # a path wins


def test_wheel__holds_recipes_and_rows_and_trains_by_them(tiny_model: str, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    wheels, installed, elsewhere = (tmp_path / name for name in ("wheels", "site", "elsewhere"))
    subprocess.run([*build, "--wheel-dir", str(wheels), str(ROOT)], check=True)
    with zipfile.ZipFile(next(wheels.glob("lit_hf-*.whl"))) as wheel:
        wheel.extractall(installed)
    elsewhere.mkdir()
    env = {**os.environ, "PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1"}

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "lit_hf", *words]
        done = subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("recipes") == list_recipes() + "\n"
    recipe = ["--config", "text_classification/demo", "--config", "overlays/smoke"]
    run("fit", *recipe, "--model.model_name", tiny_model, "--trainer.default_root_dir", "tweets")
    assert (elsewhere / "tweets" / "pretrained" / "model.safetensors").is_file()
    vit = run("fit", "--config", "image_classification/cifar10", "--print_config")
    assert "model_name: configs/image_classification/vit_32" in vit
    code = (
        "from lit_hf.files.bundled import __file__ as home\n"
        "from lit_hf.pretrained.configs import load_config\n"
        "print(load_config('configs/image_classification/vit_32').model_type, home)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True)
    assert done.stdout.split() == ["vit", str(installed / "lit_hf" / "files" / "bundled.py")]


def test_recipes_first__leaves_all_other_words_as_they_are() -> None:
    others = [
        "--a.b",
        "- c d",
        "-1",
        "--e='#2 String'",
        "--trainer.callbacks+=X",
        "--model.help",
        "",
    ]
    words = [*others[:2], "-c", "{a: 1}", *others[2:4], "-c={b: 2}", *others[4:], "-c{c: 3}"]
    assert recipes_first(words) == (["{a: 1}", "{b: 2}", "{c: 3}"], [], others)
    for nothing in (["--config"], ["--config", "--data.seed", "1"]):
        with pytest.raises(InputError, match="lists the recipes"):
            recipes_first(nothing)
    with pytest.raises(InputError, match="--model: expected one argument"):
        recipes_first(["--model", "--data.seed", "1"])


def test_recipe__may_give_settings_of_a_class_that_the_command_line_names(
    tiny_model: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("data: {batch_size: 8}\nmodel: {warmup_ratio: 0.5}\n")
    classes = ["--model", "TextClassifier", "--data=TextClassificationDataModule"]
    model = ["--model.model_name", tiny_model]
    recipe = ["--config", str(tmp_path / "mine.yaml")]
    for words in ([*classes, *model, *recipe], [*recipe, *model, *classes]):
        shown = output_of("fit", *words, "--print_config")
        assert "batch_size: 8" in shown
        assert "warmup_ratio: 0.5" in shown
    words = ["--data", "CIFAR10DataModule", "--config", "text_classification/demo"]
    assert "CIFAR10DataModule" in output_of("fit", *words, *model, "--print_config")


def test_short_name__is_one_that_is_found() -> None:
    path = str(bundled_path("lit_hf/assets/tweets/train.csv"))
    assert short_name(path) == "lit_hf/assets/tweets/train.csv" != path
    assert short_name("a/train.csv") == "a/train.csv"
