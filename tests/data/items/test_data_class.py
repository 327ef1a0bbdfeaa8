import pytest

from lit_hf import InputError, TextClassificationDataModule, TweetDataModule
from lit_hf.data.items.data_class import data_class


def test_class__is_the_first_of_the_task_or_the_one_that_is_named() -> None:
    name = "lit_hf.data.tweets.TweetDataModule"
    assert data_class("text_classification", None, "x") is TextClassificationDataModule
    assert data_class("text_classification", name, "x") is TweetDataModule


def test_class_of_the_users_own__is_that_of_its_own_task_only() -> None:
    own = type("Soup", (TextClassificationDataModule,), {"task": "soup", "__module__": "cells"})
    assert data_class("soup", None, "x") is own
    type("Broth", (own,), {"task": "text_classification", "__module__": "cells"})
    assert data_class("text_classification", None, "x") is TextClassificationDataModule


def test_class__that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match="no data class of the task 'cooking'"):
        data_class("cooking", None, "x")
    with pytest.raises(InputError, match="--import never_imported"):
        data_class("text_classification", "never_imported.Rows", "x")
