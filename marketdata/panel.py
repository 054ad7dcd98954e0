"""Immutable price panels on disk, memory-mapped, named by data version.

A panel is a table of closes, one row per day on which any asset traded and one column per asset,
NaN where an asset has no bar. Files in the panels' folder::

    <base>/symbols.json     symbols and sources of the columns
    <base>/closes.f8        rows of little-endian float64
    <base>/dates.i4         days since 1970-01-01, little-endian int32
    <version>.json          base, number of rows, bars per column

``<base>`` is the version that began the files. A later version with the same columns appends its
rows behind those of the version before it and has a ``.json`` of its own: nothing that an older
version reads is written again. A version exists once its ``.json`` was renamed into place.

The name of a version is a sequence number and a digest of its content. The digest is chained over
the rows, so a panel built anew from the same bars has the digest of one that grew day by day.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marketdata.errors import (
    MarketDataError,
    PanelMissingError,
    ShortHistoryError,
    UnknownSymbolError,
)

FloatArray = npt.NDArray[np.float64]
DateArray = npt.NDArray[np.datetime64]

_CLOSES = np.dtype("<f8")
_DATES = np.dtype("<i4")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a panel in memory.

    Attributes:
        dates: Ascending days, ``datetime64[D]`` of shape (T,).
        closes: Closes of shape (T, n), NaN where there is no bar.
    """

    dates: DateArray
    closes: FloatArray

    def __post_init__(self) -> None:
        if self.closes.shape[:1] != self.dates.shape or self.closes.ndim != 2:
            raise ValueError(f"{self.dates.shape} dates do not fit {self.closes.shape} closes")
        if len(self.dates) == 0 or bool((np.diff(self.dates) <= np.timedelta64(0, "D")).any()):
            raise ValueError("dates must ascend and there must be at least one")


@dataclass(frozen=True)
class Panel:
    """One data version, mapped from disk.

    Attributes:
        version: Its name.
        base: The version whose folder holds its rows.
        digest: Chained digest of symbols, sources and rows, hexadecimal.
        symbols: Names of the columns.
        sources: ``real`` or ``simulated``, per column.
        counts: Bars per column.
        table: Dates (T,) and closes (T, n), read-only.
    """

    version: str
    base: str
    digest: str
    symbols: tuple[str, ...]
    sources: tuple[str, ...]
    counts: tuple[int, ...]
    table: Table

    @cached_property
    def columns(self) -> dict[str, int]:
        """Column of each symbol."""
        return {symbol: column for column, symbol in enumerate(self.symbols)}

    def check(self, symbols: Sequence[str], lookback: int) -> None:
        """Refuse symbols without prices or with fewer than ``lookback`` returns of their own.

        Raises:
            UnknownSymbolError: Naming every unknown symbol.
            ShortHistoryError: Naming the symbol with the shortest history.
        """
        if not symbols:
            raise MarketDataError("name at least one symbol")
        columns = self.columns
        unknown = [symbol for symbol in symbols if symbol not in columns]
        if unknown:
            raise UnknownSymbolError(unknown, columns)
        shortest = min(symbols, key=lambda symbol: self.counts[columns[symbol]])
        available = self.counts[columns[shortest]] - 1
        if available < lookback:
            raise ShortHistoryError([shortest], available, lookback)

    def window(self, symbols: Sequence[str], lookback: int) -> Table:
        """The newest ``lookback`` + 1 days on which every one of ``symbols`` has a bar.

        Calendars are aligned by intersection: a day that one of the symbols lacks is left out for
        all of them, and a return then spans the gap. No price is carried forward.

        Raises:
            UnknownSymbolError, ShortHistoryError: As in ``check``; the latter also when the symbols
                share too few days, naming all of them.
        """
        self.check(symbols, lookback)
        columns = [self.columns[symbol] for symbol in symbols]
        total, rows = len(self.table.dates), lookback + 1
        span = rows
        while True:
            start = max(0, total - span)
            closes = self.table.closes[start:].take(columns, axis=1)
            # A sum is finite only if every close is, and needs no table of answers.
            complete = np.flatnonzero(np.isfinite(closes.sum(axis=1)))
            if len(complete) >= rows:
                first, last = int(complete[-rows]), int(complete[-1])
                days = self.table.dates[start:]
                if last - first + 1 == rows:
                    return Table(days[first : last + 1], closes[first : last + 1])
                kept = complete[-rows:]
                return Table(days[kept], closes[kept])
            if start == 0:
                raise ShortHistoryError(symbols, max(0, len(complete) - 1), lookback)
            missing = rows - len(complete)
            # Most often a few days at the end are missing, and not half of them all.
            span = span * 2 if missing > rows // 2 else span + 2 * missing


def open_panel(folder: Path, version: str) -> Panel:
    """Map the panel of ``version``.

    Raises:
        PanelMissingError: When ``folder`` has no such version.
    """
    try:
        entry = json.loads((folder / f"{version}.json").read_bytes())
        base = folder / entry["base"]
        header = json.loads((base / "symbols.json").read_bytes())
    except FileNotFoundError:
        raise PanelMissingError(version) from None
    symbols = tuple(header["symbols"])
    rows = entry["rows"]
    days = np.fromfile(base / "dates.i4", dtype=_DATES, count=rows)
    mapped = np.memmap(base / "closes.f8", dtype=_CLOSES, mode="r", shape=(rows, len(symbols)))
    # A plain view of the map: numpy's own class pays at every slice for what nobody uses.
    closes: FloatArray = mapped.view(np.ndarray)
    return Panel(
        version=version,
        base=entry["base"],
        digest=entry["digest"],
        symbols=symbols,
        sources=tuple(header["sources"]),
        counts=tuple(entry["counts"]),
        table=Table(days.astype("datetime64[D]"), closes),
    )


def build_panel(
    folder: Path, sequence: int, assets: Sequence[tuple[str, str]], table: Table
) -> Panel:
    """Write ``table`` as a new panel with files of its own.

    Args:
        folder: The panels' folder; made when absent.
        sequence: Number that begins the version's name.
        assets: Symbol and source of each column.
        table: All rows.
    """
    digest = chain(seed_digest(assets), table)
    version = f"{sequence:06d}-{digest[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    try:
        header = {"symbols": [a[0] for a in assets], "sources": [a[1] for a in assets]}
        (work / "symbols.json").write_text(json.dumps(header))
        _write(work, 0, table)
        if not (folder / version).exists():
            work.rename(folder / version)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    counts = np.isfinite(table.closes).sum(axis=0)
    entry = {"base": version, "rows": len(table.dates), "digest": digest, "counts": counts.tolist()}
    _publish(folder, version, entry)
    return open_panel(folder, version)


def append_rows(folder: Path, sequence: int, panel: Panel, table: Table) -> Panel:
    """Write ``table`` behind ``panel``'s rows as a new version; ``panel`` stays as it is.

    ``panel`` must be the newest version of its base and the caller must hold the lock of writers.
    Rows left behind by a writer that died belong to no version and are written over.

    Raises:
        ValueError: When the first of the new days is not after the panel's last one.
    """
    if table.dates[0] <= panel.table.dates[-1]:
        raise ValueError(f"{table.dates[0]} is not after {panel.table.dates[-1]}")
    digest = chain(panel.digest, table)
    version = f"{sequence:06d}-{digest[:12]}"
    _write(folder / panel.base, len(panel.table.dates), table)
    counts = np.asarray(panel.counts) + np.isfinite(table.closes).sum(axis=0)
    rows = len(panel.table.dates) + len(table.dates)
    entry = {"base": panel.base, "rows": rows, "digest": digest, "counts": counts.tolist()}
    _publish(folder, version, entry)
    return open_panel(folder, version)


def seed_digest(assets: Sequence[tuple[str, str]]) -> str:
    """Digest of the columns, with which the chain of rows begins."""
    text = json.dumps([list(asset) for asset in assets])
    return blake2b(text.encode(), digest_size=16).hexdigest()


def chain(digest: str, table: Table) -> str:
    """``digest`` carried over the rows of ``table``."""
    days = table.dates.astype("datetime64[D]").astype(_DATES)
    closes = np.ascontiguousarray(table.closes, dtype=_CLOSES)
    state = bytes.fromhex(digest)
    for day, row in zip(days, closes, strict=True):
        state = blake2b(state + day.tobytes() + row.tobytes(), digest_size=16).digest()
    return state.hex()


def _write(base: Path, row: int, table: Table) -> None:
    closes = np.ascontiguousarray(table.closes, dtype=_CLOSES)
    days = table.dates.astype("datetime64[D]").astype(_DATES)
    for name, data in (("closes.f8", closes), ("dates.i4", days)):
        width = data.nbytes // len(days)
        descriptor = os.open(base / name, os.O_WRONLY | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.seek(row * width)
            file.write(data.tobytes())
            file.flush()
            os.fsync(file.fileno())


def _publish(folder: Path, version: str, entry: dict[str, object]) -> None:
    temporary = folder / f".{version}.json"
    temporary.write_text(json.dumps(entry))
    temporary.replace(folder / f"{version}.json")
