"""What the package brings besides code: recipes, configs of small models, sample rows.

In a clone the recipes lie in `configs` beside the package, in an installed package inside it.
"""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from lit_hf.errors import InputError, as_input_error, nearest
from lit_hf.files.urls import check_local

_PACKAGE = Path(__file__).parent.parent
_WHOLE = (
    *("trainer", "model", "data", "checkpoint", "samples", "export", "predictions"),
    *("model.optimizer", "model.optimizer.class_path", "model.head", "model.head.class_path"),
)
"""Options that set a whole group, or a class of which other options give single settings."""
_NAME = re.compile(r"[\w./-]+")


def short_name(path: str) -> str:
    """A bundled file by the name that finds it, `lit_hf/assets/…`; other paths as they are."""
    is_bundled = Path(path).is_relative_to(_PACKAGE / "assets")
    return Path(path).relative_to(_PACKAGE.parent).as_posix() if is_bundled else path


def recipes_folder() -> Path:
    """The folder of the recipes."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def recipe_names() -> list[str]:
    """The names of all recipes, such as "text_classification/demo"."""
    folder = recipes_folder()
    found = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml"))
    return sorted(path.as_posix() for path in found)


def find_recipe(name: str) -> str:
    """The path of a recipe: a file that is there, else the recipe of this name.

    Args:
        name: what `--config` is given: a path, a name with or without `.yaml`, or YAML itself.

    Raises:
        InputError: if neither a file nor a recipe has this name.
    """
    check_local("--config", name)
    short = name.replace(os.sep, "/")
    is_named = short.lower().endswith((".yaml", ".yml")) and ": " not in short
    if os.path.isfile(name):
        with as_input_error(name):
            Path(name).read_text(encoding="utf-8")  # or it is refused by its name
        return name
    if not (is_named or _NAME.fullmatch(short)):
        return name
    short = short.removeprefix("configs/").removesuffix(".yaml")
    if short in (known := recipe_names()):
        return str(recipes_folder() / f"{short}.yaml")
    raise InputError(
        f"--config {name}: there is no such file, and no recipe of this name; `lit-hf recipes` "
        f"lists them.{nearest(short, known)}"
    )


def recipes_first(words: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Take a command line apart, so that an option wins over recipes wherever it stands.

    Args:
        words: the words behind the verb.

    Returns:
        The paths of the recipes; options that set a whole group, such as a class or a file of its
        settings, or name the class of optimizer or head; and all other words as they are, for
        single settings win over both.

    Raises:
        InputError: if no recipe follows `--config`.

    >>> recipes_first(["--data.seed", "1", "-c", "{a: 1}", "--data", "CIFAR10DataModule"])
    (['{a: 1}'], ['--data=CIFAR10DataModule'], ['--data.seed', '1'])
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    for name in _WHOLE:
        parser.add_argument(f"--{name}", action="append", default=[])
    try:
        found, others = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise InputError(f"{error}; `lit-hf recipes` lists the recipes.") from None
    groups = [f"--{name}={value}" for name in _WHOLE for value in getattr(found, name)]
    return [find_recipe(recipe) for recipe in found.config], groups, others


def list_recipes() -> str:
    """A line for each recipe: its name and what it is."""
    names = sorted(recipe_names(), key=lambda name: name.startswith("overlays/"))  # these come last
    titles = [read_recipe(name).partition("\n")[0].removeprefix("#").strip() for name in names]
    width = max(map(len, names))
    return "\n".join(f"{name:{width}}  {title}" for name, title in zip(names, titles, strict=True))


def read_recipe(name: str) -> str:
    """The text of a recipe.

    Raises:
        InputError: if there is none of this name.
    """
    path = Path(find_recipe(name))
    if not path.is_file():
        raise InputError(f"{name!r}: no recipe can be read here.")
    return path.read_text(encoding="utf-8")


def find_bundled(path: str) -> str:
    """A path that is there as it is; else that of a file or folder which the package brings.

    Args:
        path: such as "lit_hf/assets/tweets/train.csv" or "configs/image_classification/vit_32".
    """
    return path if os.path.exists(path) else bundled_path(path) or path


def bundled_path(path: str) -> str | None:
    """Where the package brings a file or folder of this path; None where it brings none."""
    top, _, rest = path.replace(os.sep, "/").partition("/")
    home = {"lit_hf": _PACKAGE, "configs": recipes_folder()}.get(top)
    inside = None if home is None else home / rest
    return str(inside) if inside is not None and inside.exists() else None
