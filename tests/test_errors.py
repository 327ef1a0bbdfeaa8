import pytest

from lit_hf.errors import InputError, at_least, code_of_process, nearest


def test_nearest__close_any_case_or_nothing() -> None:
    assert nearest("Txet", ["text", "target"]) == " Did you mean 'text'?"
    assert nearest("keywrd", ["Keyword", "text"]) == " Did you mean 'Keyword'?"
    assert nearest("zzz", ["text"]) == ""
    assert nearest("text", []) == ""


def test_nearest__compares_names_and_no_texts() -> None:
    text = "the old mill by the river " * 4
    assert nearest(text, [text]) == ""
    assert nearest("text", [text, "txt"]) == " Did you mean 'txt'?"


def test_at_least__names_the_first_setting_below() -> None:
    at_least(1, batch_size=1, max_tokens=None)
    with pytest.raises(InputError, match="`max_tokens` to be at least 1, but got 0"):
        at_least(1, batch_size=2, max_tokens=0)


def test_code__of_a_process_that_lightning_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_of_process(143) == 143
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert code_of_process(143) == 0
    monkeypatch.setenv("RANK", "1")  # by torchrun
    assert code_of_process(143) == 143
