import pytest

from lit_hf import HFModule, InputError, TextClassifier
from lit_hf.functional.class_lookup import class_named, declaring, name_of, subclasses


def test_class__of_the_package_is_found_by_its_name() -> None:
    name = "lit_hf.modules.text_classification.TextClassifier"
    assert name_of(TextClassifier) == name
    assert class_named(HFModule, name, "a.ckpt") is TextClassifier


def test_class__that_was_defined_again_is_the_last_one() -> None:
    first = type("Again", (TextClassifier,), {"__module__": "cells"})
    second = type("Again", (TextClassifier,), {"__module__": "cells"})
    assert class_named(HFModule, "cells.Again", "a.ckpt") is second
    assert second in subclasses(HFModule)
    assert first not in subclasses(HFModule)


def test_classes__that_declare_something_are_the_packages_and_then_others() -> None:
    own = type("Deaf", (HFModule,), {"__module__": "cells", "task": "deafness"})
    type("Deafer", (own,), {"__module__": "cells"})
    names = [kind.__name__ for kind in declaring(HFModule, "task")]
    assert {*names[:4]} == {"ExtractiveQA", "GenerativeQA", "ImageClassifier", "TextClassifier"}
    assert "Deaf" in names
    assert "Deafer" not in names


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("never_imported.Mine", "--import never_imported"),
        ("never.imported.Mine", "--import never.imported"),
        ("__main__.Mine", "Define it here too"),
        ("lit_hf.modules.nothing.Mine", "of another version"),
        ("os.path", "--import os"),
    ],
)
def test_class__that_is_not_imported_is_refused(name: str, remedy: str) -> None:
    with pytest.raises(InputError, match=remedy) as refused:
        class_named(HFModule, name, "a.ckpt")
    assert str(refused.value).startswith("a.ckpt: ")
