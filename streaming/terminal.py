"""What the terminal client shows: newest prices, and what became of requests and portfolios."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from optimization.presentation import percent, seconds
from streaming.protocol import ServerMessage

KEPT_EVENTS = 12
"""Lines of news on the screen."""


@dataclass(slots=True)
class StreamView:
    """Takes frames in and draws the newest state.

    Attributes:
        prices: Newest point of each symbol, as on the wire.
        first: First price of each symbol since the client began.
        events: Newest lines of news.
        status: One line on the connection.
    """

    prices: dict[str, dict[str, Any]] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    events: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    status: str = "connecting"

    def take(self, frame: Mapping[str, Any]) -> None:
        """Take one frame in."""
        data = frame["data"]
        match frame["type"]:
            case ServerMessage.CONNECTION_STATUS:
                self.status = f"{data['status']} as {data['client_id']}"
            case ServerMessage.PRICE_UPDATE:
                for symbol, point in data["prices"].items():
                    self.prices[symbol] = point
                    self.first.setdefault(symbol, point["price"])
            case ServerMessage.SUBSCRIBE | ServerMessage.HEARTBEAT:
                pass
            case _:
                clock = time.strftime("%H:%M:%S", time.localtime(frame["timestamp"]))
                self.events.append(f"{clock}  {describe(frame)}")

    def render(self) -> RenderableType:
        """Prices above, news below."""
        table = Table(title=self.status, title_justify="left")
        table.add_column("Symbol")
        for name in ("Price", "Change", "Age"):
            table.add_column(name, justify="right")
        table.add_column("Source")
        for symbol in sorted(self.prices):
            point = self.prices[symbol]
            change = point["price"] / self.first[symbol] - 1.0
            style = "green" if change > 0 else "red" if change < 0 else ""
            age = seconds(max(0.0, time.time() - point["timestamp"]))
            told = Text(f"{change * 100:+.3f} %", style)
            table.add_row(symbol, f"{point['price']:,.4f}", told, age, point["source"])
        return Group(
            table, *(Text(line, overflow="ellipsis", no_wrap=True) for line in self.events)
        )


def describe(frame: Mapping[str, Any]) -> str:
    """One frame in one line."""
    data = frame["data"]
    if frame["type"] == ServerMessage.ERROR:
        return f"{data['error']}: {data['detail']}"
    words = _WORDS.get(str(data.get("type")))
    if words is not None:
        return f"{data['request_id']} {words(data)}"
    shown = {name: value for name, value in data.items() if isinstance(value, str | int | float)}
    return f"{frame['type']}: " + ", ".join(f"{name} {value}" for name, value in shown.items())


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "optimization_queued": lambda data: (
        f"waits at {data['queue_position']}, about {seconds(data['estimated_wait'])}"
    ),
    "optimization_started": lambda data: f"runs ({data['method']})",
    "optimization_progress": lambda data: (
        f"iteration {data['iteration']}, best {data['best_value']:.6g}"
    ),
    "optimization_result": lambda data: (
        f"{_weights(data['weights'])} in {seconds(data['optimization_time'])}"
    ),
    "optimization_cancelled": lambda _data: "cancelled",
}
"""What is said of a request, by the type inside its frame."""


def _weights(weights: Mapping[str, float], shown: int = 5) -> str:
    largest = sorted(weights.items(), key=lambda item: -abs(item[1]))
    text = ", ".join(f"{symbol} {percent(weight)}" for symbol, weight in largest[:shown])
    return text if len(largest) <= shown else f"{text}, …"
