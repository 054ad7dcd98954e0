"""One real optimisation through the WebSocket, which shows that everything works together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from websockets.asyncio.client import connect

REQUEST = {
    "type": "optimization_request",
    "data": {
        "symbols": ["AAPL", "GOOGL", "MSFT"],
        "objective": "maximize_sharpe",
        "method": "mean_variance",
        "constraints": {"long_only": True, "sum_to_one": True},
        "trigger": "manual",
        "metadata": {"request_source": "manage.py serve"},
    },
}


class OptimisationRefusedError(Exception):
    """The server answered with an error; the message is its own."""


@dataclass(frozen=True)
class Outcome:
    """What the optimisation found."""

    weights: Mapping[str, float]
    sharpe_ratio: float
    simulated: frozenset[str]

    @classmethod
    def from_frame(cls, data: Mapping[str, Any]) -> Self:
        """Read an ``optimization_result``.

        Raises:
            OptimisationRefusedError: It reports a failure.
        """
        if not data["success"]:
            raise OptimisationRefusedError(str(data["error"]))
        sources = data["metadata"].get("data_sources", {})
        return cls(
            weights=data["weights"],
            sharpe_ratio=data["metrics"]["sharpe_ratio"],
            simulated=frozenset(name for name, source in sources.items() if source == "simulated"),
        )

    def document(self) -> dict[str, object]:
        """The outcome as JSON."""
        return {
            "weights": dict(self.weights),
            "sharpe_ratio": self.sharpe_ratio,
            "simulated": sorted(self.simulated),
        }

    def __str__(self) -> str:
        parts = [
            f"{symbol} {weight:.1%}" + (" (simulated prices)" if symbol in self.simulated else "")
            for symbol, weight in self.weights.items()
        ]
        return f"{', '.join(parts)}; Sharpe ratio {self.sharpe_ratio:.2f}"


async def optimise(uri: str) -> Outcome:
    """Ask the server at ``uri`` for one optimisation and wait for its outcome.

    Raises:
        OptimisationRefusedError: The server said no.
    """
    async with connect(uri, compression=None, open_timeout=None) as client:
        await client.send(json.dumps(REQUEST))
        async for text in client:
            frame = json.loads(text)
            data = frame["data"]
            if frame["type"] == "error":
                raise OptimisationRefusedError(f"{data['error']}: {data['detail']}")
            if frame["type"] == "portfolio_update" and data["type"] == "optimization_result":
                return Outcome.from_frame(data)
    raise OptimisationRefusedError("the connection was closed before the result came")
