"""The settings of our classes, most of which their constructors hand on to a base class."""

import inspect
import json
from pathlib import Path
from typing import Any, get_args, get_type_hints, is_typeddict

import pytest
from jsonargparse import ArgumentParser

import lit_hf
from lit_hf.cli.parser import set_up_parsing
from lit_hf.data.base import HFDataModule
from lit_hf.data.classification import ClassificationDataModule
from lit_hf.data.question_answering import QuestionDataModule
from lit_hf.functional.given_settings import accepted_by
from lit_hf.modules.base import HFModule
from lit_hf.modules.classification import Classifier
from lit_hf.modules.question_answering import QuestionAnswering

KNOWN: dict[str, dict[str, object]] = json.loads(
    (Path(__file__).parent / "constructor_settings.json").read_text(encoding="utf-8")
)
"""The name and the default of each setting, by class: what recipes and scripts rely on."""
MIDDLE = [Classifier, QuestionAnswering, ClassificationDataModule, QuestionDataModule]


def _class(name: str) -> type:
    kind: type = getattr(lit_hf, name)
    return kind


def _types(kind: type) -> dict[str, Any]:
    """The types of the arguments that the constructor of a class names itself."""
    hints = get_type_hints(kind.__init__)  # type: ignore[misc]  # of the class itself
    names = inspect.signature(kind).parameters
    return {name: hints[name] for name, p in names.items() if p.kind is not p.VAR_KEYWORD}


def _handed_on(kind: type) -> Any:  # noqa: ANN401 - a TypedDict, which has no type
    (parameter,) = (
        p for p in inspect.signature(kind).parameters.values() if p.kind is p.VAR_KEYWORD
    )
    return next(part for part in get_args(parameter.annotation) if is_typeddict(part))


@pytest.mark.parametrize("name", KNOWN)
def test_settings__of_a_class_have_names_defaults_and_help(name: str) -> None:
    set_up_parsing([])
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(_class(name), "x", fail_untyped=False)
    found = {
        action.dest.removeprefix("x."): action
        for action in parser._actions
        if action.dest.startswith("x.") and not action.dest.endswith(".help")
    }
    assert {name: action.default for name, action in found.items()} == KNOWN[name]
    assert [name for name, action in found.items() if not action.help] == []


@pytest.mark.parametrize("name", KNOWN)
def test_settings__of_a_class_are_known_without_reading_code(name: str) -> None:
    assert sorted(accepted_by(_class(name))) == sorted(KNOWN[name])


@pytest.mark.parametrize("kind", [*map(_class, KNOWN), *MIDDLE], ids=lambda kind: kind.__name__)
def test_settings__that_are_handed_on_have_the_types_of_the_class_that_takes_them(
    kind: type,
) -> None:
    taken: dict[str, Any] = {}
    for base in reversed(kind.__mro__[1:]):
        if "__init__" in vars(base) and issubclass(base, HFModule | HFDataModule):
            taken |= _types(base)
    handed_on = get_type_hints(_handed_on(kind))
    assert handed_on == {name: taken[name] for name in handed_on}
    assert not set(handed_on) & set(_types(kind))


def test_setting__that_is_misspelt_is_refused_in_python() -> None:
    misspelt: dict[str, Any] = {"schedular": "cosine"}
    with pytest.raises(TypeError, match="schedular"):
        lit_hf.TextClassifier("no model", **misspelt)
    headless: dict[str, Any] = {"column_names": ["question"]}
    with pytest.raises(TypeError, match="column_names"):  # of rows of texts alone
        lit_hf.ExtractiveQADataModule("no model", **headless)
