"""Storing bars."""

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketdata.errors import (
    InvalidPricesError,
    MarketDataError,
    NoMarketDataError,
    UnknownSymbolError,
)
from marketdata.models import Asset, Bar, DataVersion, Source
from marketdata.selectors import current_data_version, load_panel, return_window
from marketdata.services import History, append_bars, histories_store, panel_rebuild

DAYS = [dt.date(2024, 1, 1) + dt.timedelta(days=day) for day in range(5)]


def history(symbol: str = "NEW", **changes: Any) -> History:
    fields: dict[str, Any] = {"source": Source.REAL, "dates": DAYS, "closes": [1, 2, 3, 4, 5.0]}
    return History(symbol=symbol, **(fields | changes))


def test_the_kept_statistics_are_those_of_the_bars(market: DataVersion) -> None:
    for asset in Asset.objects.all():
        days = list(asset.bars.order_by("date").values_list("date", flat=True))
        assert (asset.first_date, asset.last_date, asset.bar_count) == (
            days[0],
            days[-1],
            len(days),
        )
    assert (market.asset_count, market.row_count) == (7, 600)


def test_a_completed_day_is_appended_and_old_versions_stay_readable(market: DataVersion) -> None:
    old = return_window(["AAPL", "KO"], 252)
    closes = dict.fromkeys(load_panel(market.name).symbols, 50.0)
    version = append_bars(dt.date(2022, 12, 29), closes, reason="test")
    assert current_data_version() == version.name != market.name
    assert load_panel(version.name).base == load_panel(market.name).base
    new = return_window(["AAPL", "KO"], 252)
    assert new.end == dt.date(2022, 12, 29)
    np.testing.assert_array_equal(new.returns[:-1], old.returns[1:])
    again = return_window(["AAPL", "KO"], 252, market.name)
    np.testing.assert_array_equal(again.returns, old.returns)
    assert Asset.objects.get(symbol="KO").bar_count == 601


def test_a_day_in_the_past_makes_the_panel_anew_and_keeps_the_old_one(market: DataVersion) -> None:
    old = load_panel(market.name)
    version = append_bars(dt.date(2022, 12, 25), {"AAPL": 130.0}, reason="a Sunday")
    assert load_panel(version.name).base != old.base
    assert len(load_panel(version.name).table.dates) == 601
    assert len(load_panel(market.name).table.dates) == 600


def test_a_panel_that_was_lost_is_built_again_from_the_database(
    market: DataVersion, panels: Path
) -> None:
    append_bars(dt.date(2022, 12, 29), {"AAPL": 130.0}, reason="test")
    before = load_panel(current_data_version())
    closes = np.array(before.table.closes)
    shutil.rmtree(panels)
    again = panel_rebuild()
    assert (again.version, again.digest) == (before.version, before.digest)
    np.testing.assert_array_equal(again.table.closes, closes)


def test_a_rebuild_says_when_the_bars_are_other_ones(market: DataVersion) -> None:
    Bar.objects.filter(asset__symbol="KO").update(close=1.0)
    with pytest.raises(MarketDataError, match=f"not those of data version {market.name}"):
        panel_rebuild()


def test_real_prices_replace_simulated_ones_altogether(market: DataVersion) -> None:
    histories_store([history("GOOGL")], reason="real prices came")
    asset = Asset.objects.get(symbol="GOOGL")
    assert (asset.source, asset.bar_count) == (Source.REAL, 5)


def test_simulated_prices_never_mix_with_real_ones(market: DataVersion) -> None:
    with pytest.raises(InvalidPricesError, match="AAPL has real prices"):
        histories_store([history("AAPL", source=Source.SIMULATED)], reason="no")
    assert current_data_version() == market.name


def test_storing_the_same_bars_again_keeps_their_number(db: None) -> None:
    histories_store([history()], reason="first")
    histories_store([history(closes=[1, 2, 3, 4, 6.0])], reason="a revision")
    assert Bar.objects.count() == 5
    assert return_window(["NEW"], 1).last_closes.tolist() == [6.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"closes": [1, 2, 3, 4, 0.0]}, "NEW on 2024-01-05: close is 0.0"),
        ({"closes": [1, 2, 3, 4, -1.0]}, "must be a positive number"),
        ({"closes": [1, 2, 3, 4, float("nan")]}, "close is nan"),
        ({"closes": [1, 2, 3, 4, float("inf")]}, "close is inf"),
        ({"closes": [1.0]}, "5 dates for 1 closes"),
        ({"dates": DAYS[:4] + DAYS[:1]}, "a date appears twice"),
        ({"dates": [], "closes": []}, "0 dates"),
    ],
)
def test_a_history_is_checked_when_built(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidPricesError, match=words):
        history(**changes)


@pytest.mark.parametrize("symbol", ["", " AAPL", "X" * 33])
def test_a_symbol_is_checked_when_built(symbol: str) -> None:
    with pytest.raises(InvalidPricesError, match="no symbol"):
        history(symbol)


def test_a_failed_import_leaves_nothing_behind(market: DataVersion) -> None:
    with pytest.raises(InvalidPricesError):
        histories_store([history("OK"), history("AAPL", source=Source.SIMULATED)], reason="no")
    assert not Asset.objects.filter(symbol="OK").exists()


def test_nothing_and_the_same_symbol_twice_are_refused(db: None) -> None:
    with pytest.raises(InvalidPricesError, match="at least one symbol"):
        histories_store([], reason="no")
    with pytest.raises(InvalidPricesError, match="only once"):
        histories_store([history(), history()], reason="no")


def test_appended_closes_are_checked(market: DataVersion) -> None:
    day = dt.date(2022, 12, 29)
    with pytest.raises(InvalidPricesError, match="no closes"):
        append_bars(day, {}, reason="no")
    with pytest.raises(InvalidPricesError, match="AAPL on 2022-12-29"):
        append_bars(day, {"AAPL": 0.0}, reason="no")
    with pytest.raises(UnknownSymbolError, match="NOPE"):
        append_bars(day, {"AAPL": 1.0, "NOPE": 1.0}, reason="no")
    assert current_data_version() == market.name


def test_without_bars_there_is_nothing_to_rebuild(db: None) -> None:
    with pytest.raises(NoMarketDataError):
        panel_rebuild()
