"""Newest prices on their way to many clients, encoded once for all of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from streaming.protocol import ServerMessage


@dataclass(frozen=True)
class PriceBatch:
    """Prices that are told together.

    Attributes:
        prices: ``protocol.PricePoint`` documents by symbol.
        timestamp: Epoch seconds at which they were told.
    """

    prices: Mapping[str, Any]
    timestamp: float

    @cached_property
    def text(self) -> str:
        """The frame as JSON, complete but for the receiving client's id."""
        frame = {
            "type": ServerMessage.PRICE_UPDATE.value,
            "data": {"prices": self.prices},
            "timestamp": self.timestamp,
        }
        return json.dumps(frame, separators=(",", ":"), allow_nan=False)

    def then(self, newer: "PriceBatch") -> "PriceBatch":
        """Both in one: the newer price of each symbol."""
        return PriceBatch({**self.prices, **newer.prices}, newer.timestamp)

    def only(self, symbols: set[str]) -> "PriceBatch | None":
        """Those of some symbols, or None when there is none."""
        wanted = {symbol: self.prices[symbol] for symbol in symbols & self.prices.keys()}
        return PriceBatch(wanted, self.timestamp) if wanted else None
