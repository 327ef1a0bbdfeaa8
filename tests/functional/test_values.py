from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from lit_hf.functional.values import EXACT, finite_number, is_missing, value_text

DAY = datetime(2024, 1, 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *(("1.50", "1.50"), (20, "20"), (20.0, "20"), (-0.0, "0"), (1.5, "1.5"), (True, "True")),
        *((np.str_("a"), "a"), (np.float64(0.1), "0.1"), (float(EXACT), str(EXACT))),
        *((Decimal("1.50"), "1.50"), (Decimal("1E+2"), "100"), (10**30, "1" + "0" * 30)),
        *((date(2024, 1, 2), "2024-01-02"), (DAY, "2024-01-02"), (pd.Timestamp(DAY), "2024-01-02")),
        (pd.Timestamp("2024-01-02 03:04:05"), "2024-01-02 03:04:05"),
        (DAY.replace(tzinfo=timezone(timedelta(hours=9))), "2024-01-02 00:00:00+09:00"),
    ],
)
def test_text__of_a_value(value: object, text: str) -> None:
    assert value_text(value) == text
    assert type(value_text(value)) is str


@pytest.mark.parametrize("value", [2.0**54, -1e300, float("inf"), [], {}, b"a", None, timedelta(1)])
def test_text__of_others_is_none(value: object) -> None:
    with pytest.raises(ValueError, match=r"was rounded|is no text but"):
        value_text(value)


def test_missing__cells() -> None:
    assert all(map(is_missing, (None, "", " ", float("nan"), Decimal("nan"))))
    assert not any(map(is_missing, (0, "nan", [], False)))


def test_number__in_the_range_of_float32() -> None:
    for cell, number in (("3.8", 3.8), (-3.4e38, -3.4e38), (Decimal("1.5"), 1.5)):
        assert finite_number(cell) == number
    for bad, clause in (
        *((cell, "is missing") for cell in (None, "", " ")),
        *((cell, "is not a number") for cell in ("high", [1], "1_0", True)),
        *((cell, "is not finite") for cell in (float("nan"), "inf", 10**400, 3.5e38)),
    ):
        with pytest.raises(ValueError, match=clause):
            finite_number(bad)
