from lit_hf.functional.differences import differences


def test_differences__name_what_came_went_and_changed() -> None:
    told = differences({"a": 1, "b": "x", "c": 2.0}, {"a": 1, "b": "y", "d": None, "e": 3})
    assert told == ["b was x, is y", "c was 2.0, is None", "e was None, is 3"]
    assert differences({}, {}) == []
