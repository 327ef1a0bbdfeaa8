from lit_hf.errors import InputError, nearest


def test_nearest__close_any_case_or_nothing() -> None:
    assert nearest("Txet", ["text", "target"]) == " Did you mean 'text'?"
    assert nearest("keywrd", ["Keyword", "text"]) == " Did you mean 'Keyword'?"
    assert nearest("zzz", ["text"]) == ""
    assert nearest("text", []) == ""


def test_input_error__is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)
