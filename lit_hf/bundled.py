"""What the package brings besides code: recipes, configs of small models, sample rows.

In a clone the recipes lie in `configs` beside the package, in an installed package inside it.
"""

import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from lit_hf.errors import InputError, nearest

_PACKAGE = Path(__file__).parent
_NAME = re.compile(r"[\w./-]+")


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
    if os.path.isfile(name) or not _NAME.fullmatch(name):
        return name
    short = name.removeprefix("configs/").removesuffix(".yaml")
    if short in (known := recipe_names()):
        return str(recipes_folder() / f"{short}.yaml")
    raise InputError(
        f"--config {name}: there is no such file, and no recipe of this name; `lit-hf recipes` "
        f"lists them.{nearest(short, known)}"
    )


def recipes_first(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take the recipes out of a command line: an option wins over them wherever it stands.

    Args:
        words: the words behind the verb.

    Returns:
        The paths of the recipes, and the other words.

    >>> recipes_first(["--data.seed", "1", "--config", "{a: 1}"])
    (['{a: 1}'], ['--data.seed', '1'])
    """
    recipes, others = [], []
    rest = iter(words)
    for word in rest:
        name, mark, value = word.partition("=")
        if name != "--config":
            others.append(word)
        elif mark:
            recipes.append(find_recipe(value))
        elif (following := next(rest, None)) is not None:
            recipes.append(find_recipe(following))
        else:
            raise InputError("--config: which recipe or file? `lit-hf recipes` lists the recipes.")
    return recipes, others


def classes_of(words: Sequence[str]) -> list[str]:
    """The classes that a command line names: a recipe may give settings of them alone.

    >>> classes_of(["--data.seed", "1", "--model", "TextClassifier", "--data=TweetDataModule"])
    ['--model=TextClassifier', '--data=TweetDataModule']
    """
    pairs = (
        (name, value if mark else following)
        for word, following in pairwise([*words, ""])
        for name, mark, value in [word.partition("=")]
    )
    return [f"{name}={value}" for name, value in pairs if name in ("--model", "--data")]


def list_recipes() -> str:
    """A line for each recipe: its name and what it is."""
    names = sorted(recipe_names(), key=lambda name: name.startswith("overlays/"))  # these come last
    width = max(map(len, names))
    return "\n".join(f"{name:{width}}  {_title(name)}" for name in names)


def _title(name: str) -> str:
    first = read_recipe(name).partition("\n")[0]
    return first.removeprefix("#").strip()


def read_recipe(name: str) -> str:
    """The text of a recipe.

    Raises:
        InputError: if there is none of this name.
    """
    path = find_recipe(name)
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{name!r}: no recipe can be read here ({error}).") from error


def find_bundled(path: str) -> str:
    """A path that is there as it is; else that of a file or folder which the package brings.

    Args:
        path: such as "lit_hf/assets/tweets/train.csv" or "configs/image_classification/vit_32".
    """
    if os.path.exists(path):
        return path
    top, _, rest = path.replace(os.sep, "/").partition("/")
    home = {"lit_hf": _PACKAGE, "configs": recipes_folder()}.get(top)
    inside = None if home is None else home / rest
    return str(inside) if inside is not None and inside.exists() else path
