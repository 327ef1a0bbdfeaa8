from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from lit_hf.functional.values import EXACT, text_as_value, value_text

DAY = datetime(2024, 1, 2)
EAST = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.50", "1.50"),
        (np.str_("a"), "a"),
        (20, "20"),
        (20.0, "20"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (np.float64(0.1), "0.1"),
        (float(EXACT), str(EXACT)),
        (10**30, "1" + "0" * 30),
        (True, "True"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+2"), "100"),
        (date(2024, 1, 2), "2024-01-02"),
        (DAY, "2024-01-02"),
        (pd.Timestamp(DAY), "2024-01-02"),
        (pd.Timestamp("2024-01-02 03:04:05"), "2024-01-02 03:04:05"),
        (DAY.replace(tzinfo=EAST), "2024-01-02 00:00:00+09:00"),
    ],
)
def test_text__of_a_value(value: object, text: str) -> None:
    assert value_text(value) == text
    assert type(value_text(value)) is str


@pytest.mark.parametrize("value", [2.0**54, -1e300, float("inf"), [], {}, b"a", None, timedelta(1)])
def test_text__of_others_is_none(value: object) -> None:
    with pytest.raises(ValueError, match=r"was rounded|is no text but"):
        value_text(value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        *((text, text) for text in ("20", "1.5", "True", "2024-01-02", "2024-01-02 03:04:00")),
        ("20.0", "20"),
        ("1.50", "1.5"),
        ("007", "7"),
        ("+3", "3"),
        (" 5", "5"),
        ("1e3", "1000"),
        ("true", "True"),
        ("FALSE", "False"),
        ("2024-01-02 00:00:00", "2024-01-02"),
        ("2024-01-02T03:04", "2024-01-02 03:04:00"),
        ("2024-02-30", "2024-02-30"),  # no day; nothing reads it as a date
        ("1e300", "1e300"),
        *((text, None) for text in ("joy", "nan", "inf", "1_000", "1,5", "", "2024-1", "０１")),
    ],
)
def test_texts__as_the_value_that_they_spell(text: str, wanted: str | None) -> None:
    assert text_as_value(text) == wanted


def test_text__of_a_number_with_an_odd_end_is_no_number() -> None:
    digits = "1" * 500_000  # tried at each digit for where the dot could be it would take hours
    assert text_as_value(f"{digits}!") is None
    assert text_as_value("1.") == "1"
    assert text_as_value(".5e1") == "5"
