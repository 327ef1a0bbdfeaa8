import inspect
from typing import get_type_hints

import pytest

from lit_hf import HFDataModule, HFModule, TextClassifier
from lit_hf.pretrained.hf_objects import is_in_memory, name_of_object


@pytest.mark.parametrize("kind", [HFModule, TextClassifier, HFDataModule])
def test_sources__are_plain_texts_for_a_command_line(kind: type) -> None:
    hints = get_type_hints(kind.__init__)  # type: ignore[misc]  # of the class itself
    assert hints["model_name"] is str
    assert "model_name" in inspect.signature(kind).parameters


@pytest.mark.parametrize("place", ["", None])
def test_name__of_an_object_from_nowhere_is_no_place(place: object) -> None:
    name = name_of_object(place, "bert")
    assert is_in_memory(name)
    assert not is_in_memory(name_of_object("org/bert", "bert"))
