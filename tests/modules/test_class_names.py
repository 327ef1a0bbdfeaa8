import logging

import pytest
from transformers import BertConfig

from lit_hf import InputError
from lit_hf.modules.class_names import check_names, compare_names, keeps_head, names_of

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
        (["LABEL_0", "LABEL_1"], ["a", "b"], "unnamed"),
        (["a", "b"], ["0", "1"], "unnamed"),
        (["LABEL_0", "LABEL_1"], ["0", "1"], "unnamed"),
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


def test_names_of__are_in_the_order_of_their_numbers() -> None:
    names = [f"class {index}" for index in range(12)]
    config = BertConfig(id2label={str(index): names[index] for index in reversed(range(12))})
    assert names_of(config) == names


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


def test_keeps_head__refuses_another_order_naming_the_right_one() -> None:
    config = BertConfig(id2label=dict(enumerate(NAMES)))
    with pytest.raises(InputError, match=r"label_names: \['anger', 'joy', 'optimism'\]"):
        keeps_head(config, ["joy", "anger", "optimism"], "some/model")


def test_check_names__refuses_a_checkpoint_of_other_classes() -> None:
    check_names(NAMES, ["Anger", "joy", "optimism"], "it", "Do this.")
    check_names(NAMES, ["0", "1", "2"], "it", "Do this.")
    for names in (["joy", "anger", "optimism"], ["anger", "joy"], ["anger", "joy", "fear"]):
        with pytest.raises(InputError, match=r"it has .*'optimism'\], the data says .* Do this\."):
            check_names(NAMES, names, "it", "Do this.")
