import logging

import pytest
from transformers import BertConfig

from lit_hf import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.pretrained.label_names import (
    check_number,
    check_number_of_given,
    compare_names,
    is_classifier,
    keeps_head,
    names_of,
    names_of_trained,
    numbers_of,
    positive_class,
)

NAMES = ["anger", "joy", "optimism"]
TRAINED = ["BertForSequenceClassification"]


def _config(names: list[str] | None = None) -> BertConfig:
    id2label = None if names is None else dict(enumerate(names))
    return BertConfig(id2label=id2label, architectures=TRAINED)


def test_names_of__are_in_order_and_all_different() -> None:
    names = [f"class {index}" for index in range(12)]
    config = BertConfig(id2label={str(index): names[index] for index in reversed(range(12))})
    assert names_of(config) == names
    assert names_of(_config(["crane", "maillot", "crane"])) == ["crane (0)", "maillot", "crane (2)"]


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["LABEL_0", "label_1"], [0, 1]),
        (["0", "10", "1", *"23456789"], [0, 10, 1, *range(2, 10)]),
        (["00", "1.0"], [0, 1]),
        (["1", "2"], None),
        (["0", "0"], None),
        (["0", "x"], None),
    ],
)
def test_numbers_of__placeholders(names: list[str], numbers: list[int] | None) -> None:
    assert numbers_of(names) == numbers


def test_is_classifier__by_the_kind_of_model() -> None:
    for kind in ("BertForSequenceClassification", "DeiTForImageClassificationWithTeacher"):
        assert is_classifier(BertConfig(architectures=[kind]))
    for kind in ("BertForTokenClassification", "BertModel"):
        assert not is_classifier(BertConfig(architectures=[kind]))


@pytest.mark.parametrize(
    ("trained", "expected", "fit"),
    [
        (["a", "b"], ["a", "b"], "same"),
        (["A", "b"], ["a", "B"], "same"),
        (["A", "B"], ["b", "a"], "reordered"),
        (["us", "US"], ["US", "us"], "reordered"),
        (["1", "Two"], ["01", "two"], "same"),
        (["1", "2"], ["02", "01"], "reordered"),
        (["a", "b"], ["00", "01"], "unnamed"),
        (["LABEL_0", "LABEL_1"], ["a", "b"], "unnamed"),
        (["LABEL_0", "LABEL_1"], ["0", "1"], "unnamed"),
        (["LABEL_0", "LABEL_1"], ["1", "0"], "reordered"),
        (["LABEL_0", "LABEL_1", "LABEL_2"], ["1", "2", "3"], "unnamed"),
        (["\u1109\u1165", "b"], ["\uc11c", "b"], "same"),  # one syllable in two Unicode forms
        (["LABEL_0", "LABEL_1"], ["a", "b", "c"], "other"),
        (["a", "b"], ["a", "c"], "other"),
        (["a", "b"], ["1", "2"], "other"),  # not numbers of classes: those start at 0
    ],
)
def test_compare_names__knows_the_four_cases(
    trained: list[str], expected: list[str], fit: str
) -> None:
    assert compare_names(trained, expected) == fit


@pytest.mark.parametrize(
    ("config", "expected", "kept", "warning"),
    [
        (_config(NAMES), NAMES, True, ""),
        (BertConfig(), ["1", "0"], True, ""),  # of a bare backbone
        (BertConfig(), NAMES, False, ""),
        (_config(), ["0", "1"], True, ""),
        (_config(), ["no", "yes"], True, "'no', 'yes' are taken to be 'LABEL_0', 'LABEL_1'"),
        (_config(["no", "yes"]), ["0", "1"], True, "'0', '1' are taken to be 'no', 'yes'"),
        (_config(["no", "yes"]), ["cat", "dog"], False, "'cat', 'dog', get a re-initialised"),
    ],
)
def test_keeps_head__where_its_classes_are_those_of_the_data(
    config: BertConfig,
    expected: list[str],
    kept: bool,
    warning: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "lit_hf"):
        assert keeps_head(config, expected, "some/model") is kept
    assert bool(caplog.messages) is bool(warning)
    assert warning in "".join(caplog.messages)


def test_keeps_head__refuses_another_order_and_what_is_not_learnt() -> None:
    for config, names in (
        (_config(NAMES), ["joy", "anger", "optimism"]),
        (_config(["2", "1", "Joy"]), ["01", "02", "joy"]),
        (_config(), ["1", "0"]),
    ):
        with pytest.raises(InputError, match=r"in this order, the data says .*`label_names`"):
            keeps_head(config, names, "some/model")
    with pytest.raises(InputError, match=r"'joy'.*the data says \['cat'"):
        keeps_head(_config(NAMES), ["cat", "dog"], "some/model", will_train=False)


def test_names_of_trained__are_its_own_where_the_data_writes_them_otherwise() -> None:
    config = _config(["1", "2"])
    assert names_of_trained(config, None) is None
    assert names_of_trained(config, ["01", "02"]) == ["1", "2"]
    assert names_of_trained(_config(), ["no", "yes"]) == ["no", "yes"]  # has none
    for names in (["02", "01"], ["01", "03"]):
        with pytest.raises(InputError, match=r"the checkpoint has the classes \['1', '2'\]"):
            names_of_trained(config, names)


@pytest.mark.parametrize(
    ("label", "names", "problem", "expected"),
    [
        (None, ["yes", "no"], "single_label", "no"),
        (None, NAMES, "single_label", None),
        (None, ["no", "yes"], "multi_label", None),
        (None, None, "regression", None),
        ("Yes", ["no", "yes"], "single_label", "yes"),
        ("1", ["01", "02"], "single_label", "01"),
        ("a", ["A", "a"], "single_label", "a"),
        ("maybe", None, "single_label", "maybe"),  # to be compared later
    ],
)
def test_positive_class__is_the_chosen_one_or_the_last_of_two(
    label: str | None, names: list[str] | None, problem: ProblemType, expected: str | None
) -> None:
    assert positive_class(label, names, problem) == expected


@pytest.mark.parametrize(
    ("label", "names", "problem", "message"),
    [
        ("yse", ["no", "yes"], "single_label", r"'yse'.*'no', 'yes'\. Did you mean 'yes'"),
        ("joy", NAMES, "single_label", "3 classes"),
        ("joy", NAMES, "multi_label", "`problem_type: multi_label`"),
        ("a", None, "regression", "`problem_type: regression`"),
    ],
)
def test_positive_class__that_is_none_is_refused(
    label: str, names: list[str] | None, problem: ProblemType, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        positive_class(label, names, problem)


def test_number__of_classes_is_two_or_more_and_that_of_the_names() -> None:
    check_number(None, ["a"], "single_label")
    check_number(3, ["a", "b", "c"], "multi_label")
    check_number(1, None, "regression")
    for number, problem in ((1, "single_label"), (0, "multi_label"), (3, "regression")):
        with pytest.raises(InputError, match="at least 2, or 1"):
            check_number(number, None, problem)  # type: ignore[arg-type]  # a ProblemType
    with pytest.raises(InputError, match="`num_labels` is 2, but there are 3"):
        check_number(2, NAMES, "single_label")
    with pytest.raises(InputError, match="'bert' has 3 outputs, but there are 2 classes"):
        check_number_of_given(_config(NAMES), 2, "bert")
