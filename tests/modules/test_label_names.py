import logging

import pytest
from transformers import BertConfig

from lit_hf import InputError
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.label_names import (
    check_names,
    compare_names,
    keeps_head,
    names_of_trained,
    positive_class,
)

NAMES = ["anger", "joy", "optimism"]


@pytest.mark.parametrize(
    ("trained", "wanted", "fit"),
    [
        (["a", "b"], ["a", "b"], "same"),
        (["A", "b"], ["a", "B"], "same"),
        (["a", "b"], ["b", "a"], "reordered"),
        (["A", "B"], ["b", "a"], "reordered"),
        (["us", "US"], ["US", "us"], "reordered"),
        (["0", "1"], ["1", "0"], "reordered"),
        (["1", "2"], ["01", "2.0"], "same"),
        (["1", "Two"], ["01", "two"], "same"),
        (["1", "2"], ["02", "01"], "reordered"),
        (["1", "01"], ["01", "1"], "reordered"),
        (["a", "b"], ["00", "01"], "unnamed"),
        (["LABEL_0", "LABEL_1"], ["a", "b"], "unnamed"),
        (["a", "b"], ["0", "1"], "unnamed"),
        (["LABEL_0", "LABEL_1"], ["0", "1"], "unnamed"),
        (["LABEL_0", "LABEL_1"], ["1", "0"], "reordered"),
        (["0", "1"], ["LABEL_1", "LABEL_0"], "reordered"),
        (["LABEL_0", "LABEL_1", "LABEL_2"], ["1", "2", "3"], "unnamed"),
        (["\u1109\u1165", "b"], ["\uc11c", "b"], "same"),  # one syllable in two Unicode forms
        (["LABEL_0", "LABEL_1"], ["a", "b", "c"], "other"),
        (["a", "b"], ["a", "c"], "other"),
        (["a", "b"], ["1", "2"], "other"),  # not numbers of classes: those start at 0
        (["a", "b"], ["a", "b", "c"], "other"),
    ],
)
def test_compare_names__knows_the_four_cases(
    trained: list[str], wanted: list[str], fit: str
) -> None:
    assert compare_names(trained, wanted) == fit


@pytest.mark.parametrize(
    ("trained", "wanted", "kept", "warning"),
    [
        (NAMES, NAMES, True, ""),
        (["LABEL_0", "LABEL_1"], ["no", "yes"], True, ""),
        (["LABEL_0", "LABEL_1"], NAMES, False, ""),
        (["no", "yes"], ["0", "1"], True, "'0', '1' are taken to be 'no', 'yes'"),
        (["no", "yes"], ["cat", "dog"], False, "'no', 'yes', wanted are 'cat', 'dog'"),
        (["no", "yes"], NAMES, False, "last layer is drawn anew"),
    ],
)
def test_keeps_head__says_so_where_a_trained_meaning_is_lost(
    trained: list[str],
    wanted: list[str],
    kept: bool,
    warning: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = BertConfig(id2label=dict(enumerate(trained)))
    with caplog.at_level(logging.WARNING, "lit_hf"):
        assert keeps_head(config, wanted, "some/model") is kept
    assert bool(caplog.messages) is bool(warning)
    assert warning in "".join(caplog.messages)


def test_keeps_head__says_what_the_classes_of_a_trained_head_without_names_are_taken_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = BertConfig(architectures=["BertForSequenceClassification"])
    with caplog.at_level(logging.WARNING, "lit_hf"):
        assert keeps_head(config, ["0", "1"], "some/model")
        assert not caplog.messages
        assert keeps_head(config, ["no", "yes"], "some/model")
    assert "the classes 'no', 'yes' are taken to be 'LABEL_0', 'LABEL_1'" in caplog.text
    with pytest.raises(
        InputError,
        match=r"'LABEL_0' is the class '0', set `label_names: \['0', .* on '1', write.*id2label",
    ):
        keeps_head(config, ["1", "0"], "some/model")
    assert keeps_head(BertConfig(architectures=["BertModel"]), ["1", "0"], "some/model")


def test_keeps_head__refuses_another_order_naming_the_right_one() -> None:
    config = BertConfig(id2label=dict(enumerate(NAMES)))
    with pytest.raises(InputError, match=r"label_names: \['anger', 'joy', 'optimism'\]"):
        keeps_head(config, ["joy", "anger", "optimism"], "some/model")


def test_keeps_head__tells_the_right_order_as_the_data_writes_it() -> None:
    config = BertConfig(id2label={0: "2", 1: "1", 2: "Joy"})
    with pytest.raises(InputError, match=r"Set `label_names: \['02', '01', 'joy'\]`"):
        keeps_head(config, ["01", "02", "joy"], "some/model")


def test_names_of_trained__are_its_own_where_the_data_writes_them_otherwise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = BertConfig(id2label={0: "1", 1: "2"})
    with caplog.at_level(logging.WARNING, "lit_hf"):
        assert names_of_trained(config, ["1", "2"]) == ["1", "2"]
        assert names_of_trained(config, None) is None
        assert names_of_trained(BertConfig(), ["no", "yes"]) == ["no", "yes"]  # has none
        assert not caplog.messages
        assert names_of_trained(config, ["01", "02"]) == ["1", "2"]
    assert "writes the classes '01', '02' as '1', '2'" in caplog.text
    for names in (["02", "01"], ["01", "03"]):
        with pytest.raises(InputError, match=r"the checkpoint has the classes \['1', '2'\]"):
            names_of_trained(config, names)


def test_check_names__refuses_a_checkpoint_of_other_classes() -> None:
    check_names(NAMES, ["Anger", "joy", "optimism"], "it", "Do this.")
    check_names(NAMES, ["0", "1", "2"], "it", "Do this.")
    for names in (["joy", "anger", "optimism"], ["anger", "joy"], ["anger", "joy", "fear"]):
        with pytest.raises(InputError, match=r"it has .*'optimism'\], the data says .* Do this\."):
            check_names(NAMES, names, "it", "Do this.")


def test_positive_class__is_the_last_of_two_where_none_is_chosen() -> None:
    assert positive_class(None, ["yes", "no"], "single_label") == "no"
    assert positive_class(None, None, "single_label") is None
    assert positive_class(None, NAMES, "single_label") is None
    assert positive_class(None, ["no", "yes"], "multi_label") is None
    assert positive_class(None, None, "regression") is None


@pytest.mark.parametrize(
    ("label", "names", "wanted"),
    [
        ("no", ["no", "yes"], "no"),
        ("Yes", ["no", "yes"], "yes"),
        ("1", ["01", "02"], "01"),
        ("a", ["A", "a"], "a"),
        ("maybe", None, "maybe"),  # to be compared later
    ],
)
def test_positive_class__is_written_as_the_classes_are(
    label: str, names: list[str] | None, wanted: str
) -> None:
    assert positive_class(label, names, "single_label") == wanted


@pytest.mark.parametrize(
    ("label", "names", "problem", "message"),
    [
        ("yse", ["no", "yes"], "single_label", r"'yse'.*'no', 'yes'\. Did you mean 'yes'"),
        ("A", ["a", "á"], "regression", "of `problem_type: regression` there is none"),
        ("joy", NAMES, "single_label", r"3 classes \('anger'.*mean over them"),
        ("joy", NAMES, "multi_label", "of `problem_type: multi_label` there is none"),
        ("joy", None, "multi_label", "there is none"),
    ],
)
def test_positive_class__that_is_none_is_refused(
    label: str, names: list[str] | None, problem: ProblemType, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        positive_class(label, names, problem)
