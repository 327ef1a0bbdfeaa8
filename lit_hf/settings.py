"""Settings of a command line that would be overruled in silence, or break late."""

import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_hf.errors import InputError
from lit_hf.messages import condense

_BASES = ("HFModule", "HFDataModule")


def with_texts(words: Sequence[str]) -> list[str]:
    """Put templates in quotes, which YAML would take for objects.

    >>> with_texts(["fit", "--data.prompt", "q: {question}"])
    ['fit', '--data.prompt', '"q: {question}"']
    """
    quoted = list(words)
    for place, word in enumerate(words):
        name, mark, value = word.partition("=")
        if name.replace(".init_args", "") not in ("--data.prompt", "--data.text_template"):
            continue
        if mark:
            quoted[place] = f"{name}={_in_quotes(value)}"
        elif place + 1 < len(words):
            quoted[place + 1] = _in_quotes(words[place + 1])
    return quoted


def _in_quotes(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text if is_quoted or text == "null" else json.dumps(text, ensure_ascii=False)


def check_classes(options: Mapping[str, Any]) -> None:
    """Refuse a run without model or data, and settings of the model that its data decides.

    Raises:
        InputError: saying what to give instead.
    """
    model, data = options["model"], options["data"]
    for part, group in (("model", model), ("data", data)):
        name = str(group.get("class_path")).rsplit(".", 1)[-1]
        if name in _BASES:
            raise InputError(
                f"which {part}? Give a recipe with `--config`, or classes such as `--model "
                "TextClassifier --data TextClassificationDataModule`."
            )
    given, wanted = model.get("init_args") or {}, data.get("init_args") or {}
    for name, default in (("label_names", None), ("problem_type", "single_label")):
        value = given.get(name, default)
        if value not in (default, wanted.get(name)):
            raise InputError(
                f"`model.{name}` is {value!r}, but the data decides it: set `data.{name}`."
            )


def check_accumulation(num_batches: object) -> None:
    """Refuse a number of batches for an optimizer step that Lightning would divide by.

    Raises:
        InputError: naming it.
    """
    if isinstance(num_batches, int) and num_batches < 1:
        raise InputError(
            f"Expected `trainer.accumulate_grad_batches` to be at least 1, but got {num_batches}."
        )


def check_seed(seed: object) -> None:
    """Refuse a seed that numpy takes none of.

    Raises:
        InputError: naming the range.
    """
    if isinstance(seed, int) and not 0 <= seed < 2**32:
        raise InputError(f"Expected `seed_everything` to lie in 0..{2**32 - 1}, but got {seed}.")


def check_paths(options: Mapping[str, Any]) -> None:
    """Refuse a run folder that can be none, and names of checkpoints that lead out of it.

    Raises:
        InputError: naming the setting.
    """
    root = str(options["trainer"].get("default_root_dir") or ".")
    if "://" in root:
        raise InputError(f"`trainer.default_root_dir` {root}: wanted is a folder on this machine.")
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        (Path(root) / "checkpoints").mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"`trainer.default_root_dir` {root}: no run folder can be made here: {error.strerror}."
        ) from error
    name = str(options["checkpoint"].get("filename") or "")
    if Path(name).name != name or ".." in name:
        raise InputError(f"`checkpoint.filename` {name!r}: wanted is a name without folders.")
    try:
        list(string.Formatter().parse(name))
    except ValueError as error:
        raise InputError(f"`checkpoint.filename` {name!r}: {error}.") from None


def refusal(error: BaseException) -> InputError:
    """What a class says that refuses its arguments: our own message, however it was wrapped."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return InputError(condense(str(error) or repr(error)))
