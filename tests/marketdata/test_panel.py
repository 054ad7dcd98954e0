"""Panels on disk."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from marketdata.errors import (
    MarketDataError,
    PanelMissingError,
    ShortHistoryError,
    UnknownSymbolError,
)
from marketdata.panel import Table, append_rows, build_panel, open_panel

ASSETS = [("A", "real"), ("B", "real"), ("C", "simulated")]


def table(days: int, *, start: str = "2020-01-01", seed: int = 1) -> Table:
    rng = np.random.default_rng(seed)
    dates = np.datetime64(start, "D") + np.arange(days)
    return Table(dates, 100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, (days, 3)), axis=0)))


def test_a_panel_reads_back_what_was_written(tmp_path: Path) -> None:
    rows = table(30)
    panel = build_panel(tmp_path, 1, ASSETS, rows)
    again = open_panel(tmp_path, panel.version)
    np.testing.assert_array_equal(again.table.closes, rows.closes)
    np.testing.assert_array_equal(again.table.dates, rows.dates)
    assert again.symbols == ("A", "B", "C")
    assert again.sources == ("real", "real", "simulated")
    assert again.counts == (30, 30, 30)


def test_an_appended_day_leaves_the_older_version_as_it_was(tmp_path: Path) -> None:
    rows = table(31)
    old = build_panel(tmp_path, 1, ASSETS, Table(rows.dates[:30], rows.closes[:30]))
    before = (tmp_path / old.base / "closes.f8").read_bytes()
    new = append_rows(tmp_path, 2, old, Table(rows.dates[30:], rows.closes[30:]))
    assert new.version != old.version
    assert (tmp_path / old.base / "closes.f8").read_bytes().startswith(before)
    np.testing.assert_array_equal(open_panel(tmp_path, old.version).table.closes, rows.closes[:30])
    np.testing.assert_array_equal(open_panel(tmp_path, new.version).table.closes, rows.closes)


def test_a_panel_that_grew_has_the_digest_of_one_built_at_once(tmp_path: Path) -> None:
    rows = table(33)
    grown = build_panel(tmp_path / "a", 1, ASSETS, Table(rows.dates[:30], rows.closes[:30]))
    for day in range(30, 33):
        one = Table(rows.dates[day : day + 1], rows.closes[day : day + 1])
        grown = append_rows(tmp_path / "a", day, grown, one)
    built = build_panel(tmp_path / "b", 32, ASSETS, rows)
    assert grown.digest == built.digest
    assert grown.version == built.version


def test_a_price_a_symbol_a_source_or_a_day_changes_the_digest(tmp_path: Path) -> None:
    rows = table(5)
    changed = rows.closes.copy()
    changed[2, 1] = np.nextafter(changed[2, 1], 0)
    variants = [
        (ASSETS, rows),
        (ASSETS, Table(rows.dates, changed)),
        (ASSETS, Table(rows.dates + np.timedelta64(1, "D"), rows.closes)),
        ([("A", "simulated"), *ASSETS[1:]], rows),
        ([("Z", "real"), *ASSETS[1:]], rows),
    ]
    digests = {build_panel(tmp_path, n, a, t).digest for n, (a, t) in enumerate(variants)}
    assert len(digests) == len(variants)


def test_rows_of_a_writer_that_died_are_written_over(tmp_path: Path) -> None:
    rows = table(31)
    old = build_panel(tmp_path, 1, ASSETS, Table(rows.dates[:30], rows.closes[:30]))
    with (tmp_path / old.base / "closes.f8").open("ab") as file:
        file.write(b"\xff" * 11)
    new = append_rows(tmp_path, 2, old, Table(rows.dates[30:], rows.closes[30:]))
    np.testing.assert_array_equal(new.table.closes, rows.closes)


def test_a_day_that_is_not_after_the_last_one_cannot_be_appended(tmp_path: Path) -> None:
    rows = table(30)
    panel = build_panel(tmp_path, 1, ASSETS, rows)
    with pytest.raises(ValueError, match="is not after"):
        append_rows(tmp_path, 2, panel, Table(rows.dates[-1:], rows.closes[-1:]))


def test_mapped_closes_cannot_be_written(tmp_path: Path) -> None:
    panel = build_panel(tmp_path, 1, ASSETS, table(30))
    with pytest.raises(ValueError, match="read-only"):
        panel.table.closes[0, 0] = 1.0


def test_an_unfinished_build_leaves_no_version(tmp_path: Path) -> None:
    with pytest.raises(PanelMissingError, match="rebuild_panel"):
        open_panel(tmp_path, "000001-abc")
    build_panel(tmp_path, 1, ASSETS, table(3))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_window_is_what_pandas_says_over_mixed_calendars(tmp_path: Path) -> None:
    rows = table(200)
    rng = np.random.default_rng(5)
    closes = rows.closes.copy()
    closes[rng.random(closes.shape) < 0.2] = np.nan
    panel = build_panel(tmp_path, 1, ASSETS, Table(rows.dates, closes))
    frame = pd.DataFrame(closes, index=rows.dates, columns=["A", "B", "C"])
    expected = frame[["C", "A"]].dropna().tail(61)
    window = panel.window(["C", "A"], 60)
    np.testing.assert_array_equal(window.closes, expected.to_numpy())
    np.testing.assert_array_equal(window.dates, expected.index.to_numpy(dtype="datetime64[D]"))


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_any_bars_grown_day_by_day_are_the_panel_built_at_once(data: st.DataObject) -> None:
    days = data.draw(st.integers(2, 12))
    prices = st.one_of(st.just(math.nan), st.floats(1e-6, 1e9))
    closes = data.draw(arrays(np.float64, (days, 3), elements=prices))
    gaps = data.draw(arrays(np.int64, days, elements=st.integers(1, 5)))
    whole = Table(np.datetime64("2020-01-01", "D") + np.cumsum(gaps), closes)
    first = data.draw(st.integers(1, days - 1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        panel = build_panel(folder, 1, ASSETS, Table(whole.dates[:first], closes[:first]))
        for day in range(first, days):
            row = slice(day, day + 1)
            panel = append_rows(folder, 2, panel, Table(whole.dates[row], closes[row]))
        built = build_panel(folder / "whole", 2, ASSETS, whole)
        assert (panel.digest, panel.counts) == (built.digest, built.counts)
        np.testing.assert_array_equal(panel.table.closes, closes)
        np.testing.assert_array_equal(panel.table.dates, whole.dates)


def test_a_short_history_names_the_symbol_and_both_numbers(tmp_path: Path) -> None:
    rows = table(50)
    closes = rows.closes.copy()
    closes[:40, 1] = np.nan
    panel = build_panel(tmp_path, 1, ASSETS, Table(rows.dates, closes))
    with pytest.raises(ShortHistoryError, match="B has 9 returns, 20 are needed") as caught:
        panel.window(["A", "B"], 20)
    assert (caught.value.symbols, caught.value.available, caught.value.asked) == (("B",), 9, 20)
    assert panel.window(["A", "B"], 9).closes.shape == (10, 2)


def test_symbols_that_hardly_overlap_are_named_together(tmp_path: Path) -> None:
    rows = table(50)
    closes = rows.closes.copy()
    closes[:20, 0] = np.nan
    closes[25:, 1] = np.nan
    panel = build_panel(tmp_path, 1, ASSETS, Table(rows.dates, closes))
    with pytest.raises(ShortHistoryError, match="A, B share 4 returns, 20 are needed"):
        panel.window(["A", "B"], 20)


def test_unknown_symbols_are_all_named_with_near_matches(tmp_path: Path) -> None:
    assets = [("AAPL", "real"), ("MSFT", "real"), ("GOOGL", "simulated")]
    panel = build_panel(tmp_path, 1, assets, table(50))
    with pytest.raises(UnknownSymbolError, match="did you mean AAPL, GOOGL") as caught:
        panel.check(["APPL", "MSFT", "GOOG"], 20)
    assert caught.value.symbols == ("APPL", "GOOG")


def test_no_symbols_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="at least one symbol"):
        build_panel(tmp_path, 1, ASSETS, table(5)).window([], 2)


@pytest.mark.parametrize("days", [["2020-01-02", "2020-01-01"], ["2020-01-01", "2020-01-01"], []])
def test_a_table_wants_ascending_days(days: list[str]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        Table(np.array(days, dtype="datetime64[D]"), np.ones((len(days), 1)))


def test_a_table_wants_one_row_of_closes_per_day() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Table(np.array(["2020-01-02"], dtype="datetime64[D]"), np.ones((2, 1)))
