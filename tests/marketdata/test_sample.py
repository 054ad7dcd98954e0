"""The sample market."""

import datetime as dt
from collections.abc import Callable
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from django.core.management import CommandError, call_command

from marketdata.errors import MarketDataError
from marketdata.models import Asset, Bar, DataVersion, Source
from marketdata.sample import SIMULATED, sample_histories, sample_symbols
from marketdata.selectors import check_symbols, return_window
from marketdata.services import History


def by_symbol(histories: list[History]) -> dict[str, History]:
    return {history.symbol: history for history in histories}


def test_real_symbols_are_skfolios_own_prices(sample: list[History]) -> None:
    from skfolio.datasets import load_sp500_dataset

    frame = load_sp500_dataset()
    found = by_symbol(sample)
    for symbol in frame.columns:
        assert found[symbol].source == Source.REAL
        assert list(found[symbol].dates) == [day.date() for day in frame.index]
        np.testing.assert_array_equal(found[symbol].closes, frame[symbol].to_numpy())


def test_simulated_symbols_follow_the_real_index_with_their_beta(sample: list[History]) -> None:
    from skfolio.datasets import load_sp500_index

    market = load_sp500_index()["SP500"].pct_change().to_numpy()[1:]
    found = by_symbol(sample)
    for asset in SIMULATED:
        history = found[asset.symbol]
        assert history.source == Source.SIMULATED
        assert history.closes[-1] == pytest.approx(100.0)
        returns = pd.Series(history.closes).pct_change().to_numpy()[1:]
        beta = np.cov(returns, market)[0, 1] / market.var(ddof=1)
        noise = (returns - asset.beta * market).std(ddof=1) * np.sqrt(252)
        assert beta == pytest.approx(asset.beta, abs=0.08)
        assert noise == pytest.approx(asset.volatility, rel=0.05)
        assert np.abs(returns).max() < 0.5


def test_the_simulation_is_the_same_every_time(sample: list[History]) -> None:
    assert sample_histories() == sample


def test_the_listed_symbols_are_those_of_the_files(sample: list[History]) -> None:
    assert sorted(by_symbol(sample)) == sample_symbols()


def test_a_day_before_all_data_is_refused() -> None:
    with pytest.raises(MarketDataError, match="begins on 1990-01-02"):
        sample_histories(dt.date(1980, 1, 1))


def test_the_command_loads_once_and_says_so(db: None) -> None:
    first, second = StringIO(), StringIO()
    call_command("load_sample_market", until=dt.date(1991, 12, 31), stderr=first)
    assert "20 real and 6 simulated symbols" in first.getvalue()
    assert Asset.objects.filter(source=Source.SIMULATED).count() == 6
    assert Asset.objects.count() == 26
    assert Bar.objects.count() == 26 * 506
    check_symbols(["AAPL", "GOOGL", "MSFT", "AMZN", "META"], 252)
    assert return_window(["AAPL"], 252).end == dt.date(1991, 12, 31)
    call_command("load_sample_market", stderr=second)
    assert "loaded already" in second.getvalue()
    assert DataVersion.objects.count() == 1


def test_the_command_ends_with_a_clear_error(db: None) -> None:
    with pytest.raises(CommandError, match="begins on 1990-01-02"):
        call_command("load_sample_market", until=dt.date(1980, 1, 1), stderr=StringIO())


def test_the_server_and_the_sample_import_neither_skfolio_nor_pandas(
    run_python: Callable[[str], str],
) -> None:
    told = run_python(
        "import django; django.setup()\n"
        "import marketdata.admin, marketdata.feeds.registry, marketdata.selectors\n"
        "from marketdata.sample import sample_histories\n"
        "sample_histories()\n"
        "import sys; print([m for m in ('skfolio', 'pandas', 'cvxpy') if m in sys.modules])"
    )
    assert told.strip() == "[]"
