"""What can go wrong with market data: one tree, each error naming its symbols and the mend."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches


class MarketDataError(Exception):
    """Market data for ``symbols`` cannot be had.

    Args:
        message: What is wrong and what to do about it.
        symbols: The symbols concerned; empty when all of them are.
    """

    def __init__(self, message: str, symbols: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.symbols = tuple(symbols)


class UnknownSymbolError(MarketDataError):
    """Nobody has imported prices of these symbols."""

    def __init__(self, symbols: Sequence[str], known: Collection[str]) -> None:
        told = ", ".join(repr(symbol) for symbol in symbols[:5])
        if len(symbols) > 5:
            told += f" and {len(symbols) - 5} more"
        near = [match for symbol in symbols[:5] for match in _near(symbol, known)]
        hint = f"; did you mean {', '.join(dict.fromkeys(near))}?" if near else ""
        super().__init__(f"no prices of {told}{hint}", symbols)


class ShortHistoryError(MarketDataError):
    """A symbol, or the days that several symbols share, has fewer returns than asked for."""

    def __init__(self, symbols: Sequence[str], available: int, asked: int) -> None:
        if len(symbols) == 1:
            text = f"{symbols[0]} has {available} returns"
        else:
            text = f"{', '.join(symbols[:10])} share {available} returns"
        super().__init__(f"{text}, {asked} are needed; lower lookback", symbols)
        self.available = available
        self.asked = asked


class NoMarketDataError(MarketDataError):
    """Nothing has been imported yet."""

    def __init__(self) -> None:
        super().__init__("no prices are loaded; run: manage.py load_sample_market")


class PanelMissingError(MarketDataError):
    """The panel of a data version is not on this machine."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"data version {version!r} has no panel here; run: manage.py rebuild_panel, or copy"
            " DATA_DIR/panels from the machine that made it"
        )
        self.version = version


class InvalidPricesError(MarketDataError):
    """Prices that were to be imported are not prices."""


def _near(symbol: str, known: Collection[str]) -> list[str]:
    return get_close_matches(symbol.upper(), known, n=2, cutoff=0.6)
