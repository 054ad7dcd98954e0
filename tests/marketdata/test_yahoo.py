"""Daily closes from Yahoo."""

import datetime as dt
import sys
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from django.core.management import CommandError, call_command

from marketdata.errors import UnknownSymbolError
from marketdata.models import Source
from marketdata.yahoo import histories_of, yahoo_symbol

TODAY = dt.date(2024, 1, 5)


@pytest.fixture
def frame() -> pd.DataFrame:
    days = pd.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"], name="Date")
    columns = {"AAPL": [1.0, np.nan, 3.0, 4.0], "BRK-B": [5.0, 6.0, 7.0, 8.0], "GONE": [np.nan] * 4}
    return pd.DataFrame(columns, index=days)


def test_todays_unfinished_bar_and_empty_days_are_left_out(frame: pd.DataFrame) -> None:
    apple, berkshire = histories_of(frame, ["AAPL", "BRK.B"], TODAY)
    assert list(apple.dates) == [dt.date(2024, 1, 2), dt.date(2024, 1, 4)]
    assert list(apple.closes) == [1.0, 3.0]
    assert (berkshire.symbol, berkshire.source) == ("BRK.B", Source.REAL)
    assert list(berkshire.closes) == [5.0, 6.0, 7.0]


def test_symbols_without_prices_are_all_named(frame: pd.DataFrame) -> None:
    with pytest.raises(UnknownSymbolError, match="'GONE', 'NOPE'"):
        histories_of(frame, ["AAPL", "GONE", "NOPE"], TODAY)


def test_share_classes_are_spelled_with_a_hyphen() -> None:
    assert yahoo_symbol("BRK.B") == "BRK-B"


def test_without_yfinance_the_command_says_what_to_install(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yfinance", None)
    with pytest.raises(CommandError, match=r"pip install -r requirements-extra\.in"):
        call_command("fetch_prices", "AAPL", stderr=StringIO())
