import pytest
from transformers import BertConfig

from lit_hf.pretrained.trained_names import (
    distinct_names,
    is_classifier,
    names_of,
    numbers_of,
    ordered_names,
)


def test_names_of__are_in_the_order_of_their_numbers() -> None:
    names = [f"class {index}" for index in range(12)]
    config = BertConfig(id2label={str(index): names[index] for index in reversed(range(12))})
    assert names_of(config) == names


def test_names_of__are_all_different() -> None:
    config = BertConfig(id2label={0: "crane", 1: "maillot", 2: "crane"})
    assert names_of(config) == ["crane (0)", "maillot", "crane (2)"]
    assert config.id2label == {0: "crane", 1: "maillot", 2: "crane"}
    assert ordered_names({"1": "a", "0": "a"}) == ["a (0)", "a (1)"]


def test_distinct_names__where_the_new_name_is_there_already() -> None:
    assert distinct_names(["a", "a", "a (0)"]) == ["a (0) (0)", "a (1)", "a (0)"]
    assert distinct_names(["a", "A", " a"]) == ["a", "A", " a"]


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["LABEL_0", "label_1"], [0, 1]),
        (["0", "10", "1", *"23456789"], [0, 10, 1, *range(2, 10)]),
        (["00", "1.0"], [0, 1]),
        (["1", "2"], None),
        (["0", "0"], None),
        (["0", "x"], None),
        (["0", "9" * 5000], None),
        (["-0", "1"], [0, 1]),
    ],
)
def test_numbers_of__placeholders(names: list[str], numbers: list[int] | None) -> None:
    assert numbers_of(names) == numbers


def test_is_classifier__by_the_kind_of_model() -> None:
    kinds = {
        "BertForSequenceClassification": True,
        "DeiTForImageClassificationWithTeacher": True,
        "BackboneWithHead": True,
        "BertForTokenClassification": False,
        "BertModel": False,
    }
    assert {kind: is_classifier(BertConfig(architectures=[kind])) for kind in kinds} == kinds
    assert not is_classifier(BertConfig())
