"""Newest prices on their way to many clients, encoded once for all of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    _parts: dict[frozenset[str], "PriceBatch | None"] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @cached_property
    def body(self) -> bytes:
        """The frame as JSON, up to where the receiving client's id is to be added."""
        frame = {
            "type": ServerMessage.PRICE_UPDATE.value,
            "data": {"prices": self.prices},
            "timestamp": self.timestamp,
        }
        return json.dumps(frame, separators=(",", ":"), allow_nan=False)[:-1].encode()

    def then(self, newer: "PriceBatch") -> "PriceBatch":
        """Both in one: the newer price of each symbol."""
        return PriceBatch({**self.prices, **newer.prices}, newer.timestamp)

    def only(self, symbols: frozenset[str]) -> "PriceBatch | None":
        """Those of some symbols, or None when there is none; made once for all who want them."""
        if symbols not in self._parts:
            wanted = {symbol: self.prices[symbol] for symbol in symbols & self.prices.keys()}
            self._parts[symbols] = PriceBatch(wanted, self.timestamp) if wanted else None
        return self._parts[symbols]
