"""Reads files of daily closes: long (``date,symbol,close``) and wide (``date`` and a column each).

In a wide file an empty cell is a day without a bar. Every error names the line it was found on.
"""

import csv
import datetime as dt
import gzip
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from marketdata.errors import InvalidPricesError
from marketdata.models import Source
from marketdata.services import History

_LONG = {"date", "symbol", "close"}
_OTHER_FIELDS = {"symbol", "close", "open", "high", "low", "volume", "adj close", "ticker", "price"}
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T]00:00(?::00)?)?")
_SYMBOL = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.^=_-]{0,31}")

# Closes and the line each was read from, by symbol and day.
Closes = dict[str, dict[dt.date, tuple[float, int]]]
Row = tuple[int, list[str]]


def read_histories(path: Path, source: Source, on_read: Callable[[int], None]) -> list[History]:
    """The histories in a CSV file, plain or gzipped.

    Args:
        path: The file; ``.gz`` is unpacked on the way.
        source: What the prices are.
        on_read: Called now and then with the bytes read from disk so far.

    Raises:
        InvalidPricesError: The file cannot be read, or a row is wrong; says which line.
    """
    with _opened(path) as (raw, text):
        closes = parse_closes(_told(text, raw, on_read))
    return [
        History(
            symbol=symbol,
            source=source,
            dates=sorted(days),
            closes=[days[day][0] for day in sorted(days)],
        )
        for symbol, days in closes.items()
    ]


def parse_closes(lines: Iterable[str], today: dt.date | None = None) -> Closes:
    """The closes in the lines of a CSV file, whichever of the two layouts it has.

    Args:
        lines: Lines with a header.
        today: Last day a completed bar can have; today in UTC when left out.

    Raises:
        InvalidPricesError: Naming the line.
    """
    last_day = today or dt.datetime.now(dt.UTC).date()
    rows = _rows(lines)
    first = next(rows, None)
    if first is None:
        raise InvalidPricesError("the file is empty; it needs a header and at least one row")
    header = [name.strip() for name in first[1]]
    parse = _long if {name.lower() for name in header} == _LONG else _wide
    closes: Closes = {}
    for line, symbol, day, close in parse(header, rows):
        if day > last_day:
            raise InvalidPricesError(
                f"line {line}: {day} is in the future; only completed days are bars"
            )
        earlier = closes.setdefault(symbol, {}).setdefault(day, (close, line))
        if earlier[1] != line:
            raise InvalidPricesError(
                f"line {line}: {symbol} on {day} is on line {earlier[1]} already", [symbol]
            )
    if not closes:
        raise InvalidPricesError("the file has a header but no prices")
    return closes


def _rows(lines: Iterable[str]) -> Iterator[Row]:
    """Line number and cells of every row that is not blank."""
    reader = csv.reader(lines)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidPricesError(f"line {reader.line_num}: {error}") from error
        if any(cell.strip() for cell in row):
            yield reader.line_num, row


def _long(header: list[str], rows: Iterator[Row]) -> Iterator[tuple[int, str, dt.date, float]]:
    names = [name.lower() for name in header]
    if len(names) != len(_LONG):
        raise InvalidPricesError(f"line 1: a column appears twice: {', '.join(header)}")
    date, symbol, close = (names.index(name) for name in ("date", "symbol", "close"))
    for line, row in rows:
        _check_width(line, row, header)
        name = _symbol(line, row[symbol])
        yield line, name, _day(line, row[date]), _close(line, name, row[close])


def _wide(header: list[str], rows: Iterator[Row]) -> Iterator[tuple[int, str, dt.date, float]]:
    unknown = [name for name in header[1:] if name.lower() in _OTHER_FIELDS]
    if header[0].lower() != "date" or unknown or len(header) < 2:
        raise InvalidPricesError(
            f"line 1: columns {', '.join(header)} are unknown; a long file has date,symbol,close,"
            " a wide one date and a column of closes per symbol"
        )
    symbols = [_symbol(1, name) for name in header[1:]]
    if len(set(symbols)) != len(symbols):
        raise InvalidPricesError(f"line 1: a column appears twice: {', '.join(header)}")
    for line, row in rows:
        _check_width(line, row, header)
        day = _day(line, row[0])
        for name, cell in zip(symbols, row[1:], strict=True):
            if cell.strip():
                yield line, name, day, _close(line, name, cell)


def _check_width(line: int, row: list[str], header: list[str]) -> None:
    if len(row) != len(header):
        raise InvalidPricesError(
            f"line {line}: {len(row)} fields where the header has {len(header)}"
        )


def _symbol(line: int, text: str) -> str:
    symbol = text.strip()
    if not _SYMBOL.fullmatch(symbol):
        raise InvalidPricesError(
            f"line {line}: {symbol!r} is no symbol; use 1 to 32 letters, digits and . - _ = ^"
        )
    return symbol


def _day(line: int, text: str) -> dt.date:
    match = _DATE.fullmatch(text.strip())
    try:
        return dt.date.fromisoformat(match[1] if match else "")
    except ValueError:
        raise InvalidPricesError(
            f"line {line}: {text.strip()!r} is no date; write it as YYYY-MM-DD"
        ) from None


def _close(line: int, symbol: str, text: str) -> float:
    try:
        close = float(text)
    except ValueError:
        close = math.nan
    if not (math.isfinite(close) and close > 0) or "_" in text:
        raise InvalidPricesError(
            f"line {line}: close {text.strip()!r} of {symbol} is not a positive number", [symbol]
        )
    return close


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], IO[str]]]:
    try:
        with path.open("rb") as raw:
            unpacked = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            with io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline="") as text:
                yield raw, text
    except (OSError, EOFError) as error:
        raise InvalidPricesError(f"{path} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise InvalidPricesError(f"{path} is not UTF-8 text: {error}") from error


def _told(text: IO[str], raw: IO[bytes], on_read: Callable[[int], None]) -> Iterator[str]:
    for number, line in enumerate(text):
        if number % 2000 == 0:
            on_read(raw.tell())
        yield line
    on_read(raw.tell())
