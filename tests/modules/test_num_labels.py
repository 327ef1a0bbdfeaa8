import pytest
from transformers import BertConfig

from lit_hf import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.num_labels import (
    check_number,
    check_number_of_data,
    check_number_of_given,
    numbered_names,
)
from lit_hf.pretrained.trained_names import names_of


@pytest.mark.parametrize("problem", ["single_label", "multi_label"])
def test_number__of_classes_is_two_or_more(problem: ProblemType) -> None:
    check_number(None, ["a"], problem)
    check_number(2, None, problem)
    check_number(3, ["a", "b", "c"], problem)
    for wrong in (1, 0, -3):
        with pytest.raises(InputError, match="at least 2"):
            check_number(wrong, None, problem)
    with pytest.raises(InputError, match="`num_labels` is 2, but"):
        check_number(2, ["a", "b", "c"], problem)


def test_number__of_a_regression_is_one() -> None:
    check_number(1, None, "regression")
    with pytest.raises(InputError, match="be 1"):
        check_number(3, None, "regression")


def test_number__of_the_data_is_the_same_where_both_are_known() -> None:
    check_number_of_data(None, ["a", "b"])
    check_number_of_data(3, None)
    check_number_of_data(2, ["a", "b"])
    with pytest.raises(InputError, match="`num_labels` is 3, but the data has 2"):
        check_number_of_data(3, ["a", "b"])


def test_number__of_a_given_model_is_that_of_the_names() -> None:
    config = BertConfig(id2label={0: "x", 1: "y", 2: "z"})
    check_number_of_given(config, ["a", "b", "c"], "bert")
    with pytest.raises(InputError, match="'bert' has 3 outputs, but there are 2 classes"):
        check_number_of_given(config, ["a", "b"], "bert")


def test_names__are_those_of_transformers() -> None:
    assert numbered_names(2) == names_of(BertConfig())
