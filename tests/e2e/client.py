"""A plain client of the wire for tests: sends frames, sorts what comes back."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection

from tests.e2e.harness import PATIENCE

Frame = dict[str, Any]

TECH = ["AAPL", "GOOGL", "MSFT", "AMZN", "META"]
BANKS = ["JPM", "BAC", "AAPL", "XOM", "PG"]

TWENTY = [
    *("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO"),
    *("LLY", "MRK", "MSFT", "PEP", "PFE", "PG", "RRC", "UNH", "WMT", "XOM"),
]


def long_run(seconds: float) -> Frame:
    """A request that keeps a worker busy for so long: its search never meets its bound."""
    parameters = {"iterations": 1_000_000, "time_limit": seconds, "target_gap": 0.0}
    return request(symbols=TWENTY, method="simulated_annealing", parameters=parameters)


ENDINGS = {"optimization_result", "optimization_cancelled"}


def request(**changes: Any) -> Frame:
    """An optimisation request in the shape of the specification."""
    data = {
        "symbols": TECH,
        "objective": "minimize_variance",
        "constraints": {"long_only": True, "sum_to_one": True},
        "method": "mean_variance",
        "trigger": "manual",
        **changes,
    }
    return {"type": "optimization_request", "data": data}


def kind(frame: Frame) -> str:
    """``data.type`` of a portfolio update, else the frame's own type."""
    return str(frame["data"].get("type", frame["type"]))


def is_end(frame: Frame) -> bool:
    """Whether a frame is the last word on a request, or refuses one."""
    return kind(frame) in ENDINGS or frame["type"] == "error"


async def receive(socket: ClientConnection) -> Frame:
    """The next frame; a server that never answers fails the test instead of hanging it."""
    async with asyncio.timeout(PATIENCE):
        frame: Frame = json.loads(await socket.recv())
    return frame


async def send(socket: ClientConnection, frame: Frame) -> None:
    """Send a frame."""
    await socket.send(json.dumps(frame))


async def until(socket: ClientConnection, wanted: Callable[[Frame], bool]) -> list[Frame]:
    """Every frame up to and with the first wanted one."""
    frames = [await receive(socket)]
    while not wanted(frames[-1]):
        frames.append(await receive(socket))
    return frames


async def ask(socket: ClientConnection, frame: Frame) -> Frame:
    """Send a frame and wait for the first of its own type, or an error."""
    await send(socket, frame)
    return (await until(socket, lambda f: f["type"] in {frame["type"], "error"}))[-1]


async def optimise(socket: ClientConnection, **changes: Any) -> Frame:
    """Send an optimisation request and wait for its end."""
    await send(socket, request(**changes))
    return (await until(socket, is_end))[-1]


async def next_price(client: ClientConnection) -> None:
    """Wait for a price that the feed made after this moment."""
    asked_at = time.time()
    await ask(client, {"type": "subscribe", "data": {"topic": "price_updates"}})

    def is_newer(frame: Frame) -> bool:
        prices = frame["data"].get("prices") or {}
        return any(point["timestamp"] > asked_at for point in prices.values())

    await until(client, is_newer)
