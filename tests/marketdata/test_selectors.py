"""Windows of returns."""

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pytest_django import DjangoAssertNumQueries

from marketdata.errors import (
    NoMarketDataError,
    PanelMissingError,
    ShortHistoryError,
    UnknownSymbolError,
)
from marketdata.models import Bar, DataVersion
from marketdata.selectors import (
    check_symbols,
    current_data_version,
    load_panel,
    return_window,
)
from marketdata.services import append_bars


def test_a_window_is_the_percentage_change_that_pandas_computes(market: DataVersion) -> None:
    symbols = ["MSFT", "AAPL", "GOOGL"]
    bars = Bar.objects.filter(asset__symbol__in=symbols)
    frame = pd.DataFrame(bars.values_list("date", "asset__symbol", "close"))
    prices = frame.pivot_table(index=0, columns=1, values=2)[symbols]
    expected = prices.pct_change().tail(252)
    window = return_window(symbols, 252)
    np.testing.assert_allclose(window.returns, expected.to_numpy(), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(window.last_closes, prices.iloc[-1].to_numpy())
    assert (window.start, window.end) == (expected.index[0], expected.index[-1])
    assert window.end == dt.date(2022, 12, 28)
    assert (window.symbols, window.observations) == (tuple(symbols), 252)
    assert window.data_version == market.name
    assert window.sources == {"MSFT": "real", "AAPL": "real", "GOOGL": "simulated"}
    assert window.returns.flags.c_contiguous
    assert window.returns.dtype == np.float64


def test_the_price_of_a_check_is_one_query(
    market: DataVersion, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        check_symbols(["AAPL", "KO"], 252)
    with django_assert_num_queries(1):
        return_window(["AAPL", "KO"], 252)
    with django_assert_num_queries(0):
        return_window(["AAPL", "KO"], 252, market.name)


def test_a_check_names_what_is_wrong(market: DataVersion) -> None:
    check_symbols(["AAPL", "KO"], 599)
    with pytest.raises(ShortHistoryError, match="AAPL has 599 returns, 600 are needed"):
        check_symbols(["AAPL", "KO"], 600)
    with pytest.raises(UnknownSymbolError, match="MSTF"):
        check_symbols(["AAPL", "MSTF"], 20)


def test_an_empty_database_says_what_to_run(db: None) -> None:
    with pytest.raises(NoMarketDataError, match=r"manage.py load_sample_market"):
        check_symbols(["AAPL"], 20)
    with pytest.raises(NoMarketDataError):
        current_data_version()


def test_a_machine_without_the_current_panel_builds_it(market: DataVersion, panels: Path) -> None:
    shutil.rmtree(panels)
    assert return_window(["AAPL"], 252).data_version == market.name


def test_an_older_version_that_is_not_here_is_named(market: DataVersion, panels: Path) -> None:
    append_bars(dt.date(2022, 12, 29), {"AAPL": 130.0}, reason="test")
    shutil.rmtree(panels)
    with pytest.raises(PanelMissingError, match=market.name):
        load_panel(market.name)
