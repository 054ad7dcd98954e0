"""Every change of the bars: each ends in a new data version, or changes nothing."""

import datetime as dt
import fcntl
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import connection, transaction
from django.db.models import CharField, Count, F, Max, Min
from django.db.models.functions import Cast

from marketdata.errors import (
    InvalidPricesError,
    MarketDataError,
    NoMarketDataError,
    PanelMissingError,
    UnknownSymbolError,
)
from marketdata.models import Asset, Bar, DataVersion, QuarantinedTick, Source
from marketdata.panel import Panel, Table, append_rows, build_panel, chain, open_panel, seed_digest
from marketdata.quarantine import Refusal

_UPSERT = (
    "INSERT INTO marketdata_bar (asset_id, date, close) VALUES (%s, %s, %s)"
    " ON CONFLICT (asset_id, date) DO UPDATE SET close = excluded.close"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Daily closes of one symbol.

    Attributes:
        symbol: Its ticker.
        source: ``real`` or ``simulated``.
        dates: Distinct days, ascending or not.
        closes: Positive, finite closes, one per day.
        name: What people call it.
    """

    symbol: str
    source: Source
    dates: Sequence[dt.date]
    closes: Sequence[float]
    name: str = ""

    def __post_init__(self) -> None:
        if not self.symbol or len(self.symbol) > 32 or self.symbol != self.symbol.strip():
            raise InvalidPricesError(f"{self.symbol!r} is no symbol of 1 to 32 characters")
        if not self.dates or len(self.dates) != len(self.closes):
            raise InvalidPricesError(
                f"{self.symbol}: {len(self.dates)} dates for {len(self.closes)} closes",
                [self.symbol],
            )
        if len(set(self.dates)) != len(self.dates):
            raise InvalidPricesError(f"{self.symbol}: a date appears twice", [self.symbol])
        for date, close in zip(self.dates, self.closes, strict=True):
            check_close(self.symbol, date, close)


def check_close(symbol: str, date: dt.date, close: float) -> None:
    """Refuse a close that is not a positive, finite number.

    Raises:
        InvalidPricesError: Naming symbol and date.
    """
    if not (math.isfinite(close) and close > 0):
        raise InvalidPricesError(
            f"{symbol} on {date}: close is {close}; it must be a positive number", [symbol]
        )


def panels_folder() -> Path:
    """Where the panels of this machine live."""
    return Path(settings.DATA_DIR) / "panels"


def histories_store(
    histories: Sequence[History], *, reason: str, on_stored: Callable[[str], None] | None = None
) -> DataVersion:
    """Store whole histories in one transaction and publish a new data version.

    A bar that exists already is replaced; when nothing changes, the version stays. Real prices of a
    symbol that was simulated replace all of its bars; simulated ones never touch a real symbol.

    Args:
        histories: One per symbol.
        reason: Why, for the record.
        on_stored: Called with each symbol that was stored.

    Raises:
        InvalidPricesError: Nothing to store, a symbol twice, or simulated prices for a real symbol.
    """
    symbols = [history.symbol for history in histories]
    if not symbols or len(set(symbols)) != len(symbols):
        raise InvalidPricesError("name at least one symbol, and each only once", symbols)
    with _writing():
        for history in histories:
            _store(history)
            if on_stored:
                on_stored(history.symbol)
        _count_bars(symbols)
        return _publish_all(reason)


def append_bars(date: dt.date, closes: Mapping[str, float], *, reason: str) -> DataVersion:
    """Store the completed bars of one day and publish a new data version.

    A day after all others is appended to the panel; an older one makes the panel anew.

    Raises:
        InvalidPricesError: No closes, or one that is not a positive number.
        UnknownSymbolError: A symbol without any history.
    """
    if not closes:
        raise InvalidPricesError(f"no closes for {date}")
    for symbol, close in closes.items():
        check_close(symbol, date, close)
    with _writing():
        _store_day(date, closes)
        panel = _newest_panel()
        day = np.datetime64(date, "D")
        if panel is None or day <= panel.table.dates[-1] or not set(closes) <= set(panel.symbols):
            return _publish_all(reason)
        row = np.full((1, len(panel.symbols)), np.nan)
        row[0, [panel.columns[symbol] for symbol in closes]] = list(closes.values())
        table = Table(np.array([day]), row)
        return _record(append_rows(panels_folder(), _next_sequence(), panel, table), reason)


def panel_rebuild() -> Panel:
    """Make the current version's panel again from the database.

    Raises:
        NoMarketDataError: Nothing is loaded.
        MarketDataError: The bars in the database are not those of the current version.
    """
    with _writing():
        version = DataVersion.objects.first()
        if version is None:
            raise NoMarketDataError
        assets, table = _read_bars()
        panel = build_panel(panels_folder(), int(version.name.partition("-")[0]), assets, table)
        if panel.version != version.name:
            raise MarketDataError(
                f"the bars in the database are not those of data version {version.name}; import"
                " prices again to publish a new one"
            )
        return panel


@contextmanager
def _writing() -> Iterator[None]:
    """One writer at a time: on this machine by a file lock, over machines by a row lock."""
    folder = panels_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with transaction.atomic():
            DataVersion.objects.select_for_update().first()
            yield


def _store(history: History) -> None:
    asset, _ = Asset.objects.get_or_create(
        symbol=history.symbol, defaults={"source": history.source, "name": history.name}
    )
    if asset.source != history.source:
        if history.source == Source.SIMULATED:
            raise InvalidPricesError(
                f"{asset.symbol} has real prices; simulated ones would mix with them",
                [asset.symbol],
            )
        asset.bars.all().delete()
        asset.source = history.source
        asset.save(update_fields=["source"])
    rows = [
        (asset.pk, date.isoformat(), float(close))
        for date, close in zip(history.dates, history.closes, strict=True)
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_UPSERT, rows)


def _store_day(date: dt.date, closes: Mapping[str, float]) -> None:
    assets = {asset.symbol: asset for asset in Asset.objects.filter(symbol__in=closes)}
    unknown = [symbol for symbol in closes if symbol not in assets]
    if unknown:
        raise UnknownSymbolError(unknown, Asset.objects.values_list("symbol", flat=True))
    with connection.cursor() as cursor:
        rows = [(assets[symbol].pk, date.isoformat(), close) for symbol, close in closes.items()]
        cursor.executemany(_UPSERT, rows)
    # Counting a symbol's bars takes a thousand times as long as knowing that one was added.
    newer = {a.pk for a in assets.values() if a.last_date is None or a.last_date < date}
    Asset.objects.filter(pk__in=newer, first_date=None).update(first_date=date)
    Asset.objects.filter(pk__in=newer).update(last_date=date, bar_count=F("bar_count") + 1)
    _count_bars([symbol for symbol, asset in assets.items() if asset.pk not in newer])


def _count_bars(symbols: Sequence[str]) -> None:
    if not symbols:
        return
    assets = list(
        Asset.objects.filter(symbol__in=symbols).annotate(
            first=Min("bars__date"), last=Max("bars__date"), count=Count("bars")
        )
    )
    for asset in assets:
        asset.first_date, asset.last_date = asset.first, asset.last
        asset.bar_count = asset.count
    Asset.objects.bulk_update(assets, ["first_date", "last_date", "bar_count"], batch_size=100)


def _read_bars() -> tuple[list[tuple[str, str]], Table]:
    """All bars as the columns and rows of a panel."""
    assets = list(Asset.objects.filter(bar_count__gt=0).values_list("pk", "symbol", "source"))
    column = {pk: number for number, (pk, _, _) in enumerate(assets)}
    days = list(Bar.objects.values_list("date", flat=True).distinct().order_by("date"))
    if not days:
        raise NoMarketDataError
    # Days as text: parsing hundreds of thousands of dates would take half of the time.
    row = {day.isoformat(): number for number, day in enumerate(days)}
    closes = np.full((len(days), len(assets)), np.nan)
    bars = Bar.objects.values_list("asset_id", Cast("date", CharField()), "close")
    for asset, day, close in bars.iterator(chunk_size=20_000):
        closes[row[day], column[asset]] = close
    table = Table(np.array(days, dtype="datetime64[D]"), closes)
    return [(symbol, source) for _, symbol, source in assets], table


def _publish_all(reason: str) -> DataVersion:
    assets, table = _read_bars()
    newest = _newest_panel()
    if newest is not None and newest.digest == chain(seed_digest(assets), table):
        return DataVersion.objects.get(name=newest.version)
    return _record(build_panel(panels_folder(), _next_sequence(), assets, table), reason)


def _record(panel: Panel, reason: str) -> DataVersion:
    return DataVersion.objects.create(
        name=panel.version,
        row_count=len(panel.table.dates),
        asset_count=len(panel.symbols),
        last_date=panel.table.dates[-1].item(),
        reason=reason[:200],
    )


def _next_sequence() -> int:
    newest = DataVersion.objects.values_list("name", flat=True).first()
    return int(newest.partition("-")[0]) + 1 if newest else 1


def _newest_panel() -> Panel | None:
    newest = DataVersion.objects.values_list("name", flat=True).first()
    if newest is None:
        return None
    try:
        return open_panel(panels_folder(), newest)
    except PanelMissingError:
        return None


def ticks_quarantine(refusals: Sequence[Refusal]) -> None:
    """Write refused ticks down for the admin; the oldest beyond QUARANTINE_KEEP go."""
    if not refusals:
        return
    QuarantinedTick.objects.bulk_create(
        QuarantinedTick(
            symbol=refusal.quote.symbol[:32],
            price=repr(refusal.quote.price),
            previous_price=refusal.previous_price,
            timestamp=repr(refusal.quote.timestamp),
            feed=refusal.quote.feed,
            reason=refusal.reason,
        )
        for refusal in refusals
    )
    newest = QuarantinedTick.objects.values_list("pk", flat=True)
    beyond = newest[settings.QUARANTINE_KEEP : settings.QUARANTINE_KEEP + 1].first()
    if beyond is not None:
        QuarantinedTick.objects.filter(pk__lte=beyond).delete()
