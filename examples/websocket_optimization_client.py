"""A complete client of the QuantumEdge WebSocket: ask, watch, subscribe, stay connected.

    python examples/websocket_optimization_client.py                 # the demo
    python examples/websocket_optimization_client.py --monitor       # until Ctrl-C
    python examples/websocket_optimization_client.py --url ws://localhost:9000/ws

The client sends a heartbeat every 30 seconds, reconnects with growing pauses, asks for the frames
that it missed meanwhile, and repeats requests that were not acknowledged under the same id, so
that none of them runs twice. It needs the ``websockets`` package and nothing else.
"""

import argparse
import asyncio
import contextlib
import json
import secrets
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

HEARTBEAT_SECONDS = 30.0
RESUME = "resume"
"""Names our own resumption, so that a refusal of it is told from others."""
RESUME_AGAIN_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
FIRST_FINAL_CODE, LAST_FINAL_CODE = 4000, 4499
"""Close codes after which reconnecting is no use."""

Frame = dict[str, Any]


class OptimizationError(Exception):
    """A request that ended with an error frame.

    Args:
        data: The frame's ``data``: ``error``, ``detail``, ``code``, ``retry``, ``fields``.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(f"{data['error']}: {data['detail']}")
        self.code: str = data["code"]
        self.retry: bool = data["retry"]
        self.fields: list[str] = data["fields"]


class ConnectionRefusedByServerError(Exception):
    """The server closed the connection with a code that says not to come back."""


class ConnectionLostError(Exception):
    """The connection was lost before the answer: what was asked may have been done or not."""


@dataclass
class _Pending:
    """A frame that was not answered yet.

    Attributes:
        frame: What is asked.
        answer: What ends the wait.
        may_repeat: Whether the server does it only once, however often it is sent.
        sent: Whether it was sent at all.
    """

    frame: Frame
    answer: "asyncio.Future[Frame]"
    may_repeat: bool
    sent: bool = False


@dataclass
class _Place:
    """Where this client stands in the server's numbered frames.

    Attributes:
        client_id: The last connection of which nothing can be missing any more.
        epoch: Names the run of numbers; empty while the server has not told any.
        seq: The number of the last frame.
    """

    client_id: str = ""
    epoch: str = ""
    seq: int = 0


@dataclass
class OptimizationClient:
    """One lasting connection to the server, over as many sockets as it takes.

    Attributes:
        url: Address of the server's WebSocket.
        on_update: Called with each frame that is no answer to ``request``.
    """

    url: str = "ws://localhost:8000/ws"
    on_update: Callable[[Frame], None] = lambda _frame: None
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    _socket: ClientConnection | None = field(default=None, init=False)
    _pending: dict[str, _Pending] = field(default_factory=dict, init=False)
    _answered: deque[str] = field(default_factory=lambda: deque(maxlen=1000), init=False)
    _topics: set[str] = field(default_factory=set, init=False)
    _place: _Place = field(default_factory=_Place, init=False)
    _is_behind: bool = field(default=False, init=False)
    _client_id: str = field(default="", init=False)
    _connected: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list, init=False)

    async def __aenter__(self) -> Self:
        """Connect, and stay connected until the block is left."""
        self._tasks = [
            asyncio.create_task(self._stay_connected()),
            asyncio.create_task(self._beat()),
        ]
        waiting = asyncio.create_task(self._connected.wait())
        await asyncio.wait([waiting, self._tasks[0]], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._tasks[0].done():
            await self._tasks[0]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Unsubscribe and disconnect."""
        for topic in list(self._topics):
            await self.unsubscribe(topic)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def optimize(
        self, symbols: Sequence[str], objective: str = "maximize_sharpe", **details: Any
    ) -> Frame:
        """Ask for an optimisation and wait for its result, whatever happens to the connection.

        Args:
            symbols: Assets to optimise over.
            objective: What to optimise.
            **details: ``constraints``, ``method``, ``trigger``, ``parameters``, ``metadata``.

        Returns:
            The ``data`` of the result: ``weights``, ``metrics``, ``metadata`` …

        Raises:
            OptimizationError: The server refused the request, or it failed or was cancelled.
        """
        data = {"symbols": list(symbols), "objective": objective, **details}
        end = await self._ask("optimization_request", data, may_repeat=True)
        if end["data"]["type"] == "optimization_cancelled":
            told = {"error": "Optimization cancelled", "detail": end["data"]["request_id"]}
            raise OptimizationError({**told, "code": "cancelled", "retry": False, "fields": []})
        return dict(end["data"])

    async def watch(
        self, symbols: Sequence[str], objective: str = "maximize_sharpe", **details: Any
    ) -> str:
        """Have a portfolio optimised again whenever one of its triggers fires.

        ``on_update`` hears its results and alerts, also after a reconnect.

        Args:
            symbols: What it holds or may hold.
            objective: What to optimise.
            **details: ``name``, ``holdings`` or ``weights``, ``constraints``, ``triggers`` …

        Returns:
            The portfolio's id, by which ``unwatch`` ends it.

        Raises:
            OptimizationError: The server refused it.
            ConnectionLostError: See there; ``GET /api/v1/portfolios/`` tells.
        """
        data = {"symbols": list(symbols), "objective": objective, **details}
        answer = await self._ask("watch", data, may_repeat=False)
        portfolio_id: str = answer["data"]["portfolio_id"]
        # The server has subscribed this connection; the next one must ask for it.
        self._topics |= _topics_of(portfolio_id)
        return portfolio_id

    async def unwatch(self, portfolio_id: str) -> None:
        """Watch a portfolio no longer.

        Raises:
            OptimizationError: There is none of this id.
            ConnectionLostError: See there.
        """
        await self._ask("unwatch", {"portfolio_id": portfolio_id}, may_repeat=False)
        for topic in _topics_of(portfolio_id):
            await self.unsubscribe(topic)

    async def subscribe(self, topic: str) -> None:
        """Hear a topic, also after a reconnect."""
        self._topics.add(topic)
        await self._send({"type": "subscribe", "data": {"topic": topic}})

    async def unsubscribe(self, topic: str) -> None:
        """Stop hearing a topic."""
        self._topics.discard(topic)
        await self._send({"type": "unsubscribe", "data": {"topic": topic}})

    async def _ask(self, kind: str, data: Frame, *, may_repeat: bool) -> Frame:
        """Send a frame under an id of its own and wait for its answer."""
        request_id = secrets.token_hex(8)
        frame = {"type": kind, "data": data, "request_id": request_id}
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        pending = self._pending[request_id] = _Pending(frame, answer, may_repeat)
        try:
            await self._send_pending(pending)
            found = await answer
        finally:
            del self._pending[request_id]
        if found["type"] == "error":
            raise OptimizationError(found["data"])
        return found

    async def _send_pending(self, pending: _Pending) -> None:
        pending.sent = pending.sent or self._socket is not None
        await self._send(pending.frame)

    async def _send(self, frame: Frame) -> None:
        """Send a frame; what a lost connection swallows is sent again after the reconnect."""
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(json.dumps(frame))

    async def _stay_connected(self) -> None:
        pause = 0.5
        while True:
            try:
                async with connect(self.url) as socket:
                    pause = 0.5
                    await self._listen(socket)
            except ConnectionClosed as error:
                code = error.rcvd.code if error.rcvd is not None else 1006
                if FIRST_FINAL_CODE <= code <= LAST_FINAL_CODE:
                    refusal = ConnectionRefusedByServerError(str(error))
                    self._give_up(list(self._pending.values()), refusal)
                    raise refusal from error
            except (OSError, InvalidHandshake, TimeoutError) as error:
                print(f"no connection ({error}); next attempt in {pause:g} s", file=sys.stderr)
            finally:
                self._socket = None
                asked = [p for p in self._pending.values() if p.sent and not p.may_repeat]
                self._give_up(asked, ConnectionLostError("the connection was lost"))
            # A random part keeps a thousand clients from coming back at the same moment.
            await asyncio.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _give_up(self, pending: Sequence[_Pending], error: Exception) -> None:
        for one in pending:
            if not one.answer.done():
                one.answer.set_exception(error)

    async def _listen(self, socket: ClientConnection) -> None:
        async for message in socket:
            frame = json.loads(message)
            if frame["type"] == "connection_status":
                await self._begin(socket, frame)
            else:
                self._take(frame)
        raise ConnectionClosed(None, None)

    async def _begin(self, socket: ClientConnection, greeting: Frame) -> None:
        """Pick up where the last connection ended."""
        data = greeting["data"]
        self._socket, self._client_id = socket, data["client_id"]
        if self._place.epoch:
            await self._resume()
        else:
            self._place = _Place(data["client_id"], data["epoch"], data["seq"])
            for topic in self._topics:
                await self._send({"type": "subscribe", "data": {"topic": topic}})
        for pending in list(self._pending.values()):
            if pending.may_repeat or not pending.sent:
                await self._send_pending(pending)
        self._connected.set()

    async def _resume(self) -> None:
        """Ask for what was missed, and to hear the topics from there on."""
        place = {**vars(self._place), "topics": sorted(self._topics)}
        await self._send({"type": "resume", "data": place, "request_id": RESUME})

    def _resumed(self, frame: Frame) -> None:
        """Go on from where the server says, or ask again when it could not look."""
        data = frame["data"]
        self._is_behind = frame["type"] == "error" and data["retry"]
        if frame["type"] == "resume":
            self._place = _Place(self._client_id, data["epoch"], data["seq"])
        elif self._is_behind:
            self._tasks.append(asyncio.create_task(self._resume_again()))

    async def _resume_again(self) -> None:
        await asyncio.sleep(RESUME_AGAIN_SECONDS)
        await self._resume()

    def _take(self, frame: Frame) -> None:
        """Note a frame's place, unless some before it were missed, and give it to who waits."""
        if frame.get("seq") is not None and not self._is_behind:
            self._place.epoch, self._place.seq = frame["epoch"], frame["seq"]
        request_id = frame.get("request_id") or ""
        if request_id == RESUME:
            self._resumed(frame)
        if _is_end(frame) and request_id in self._answered:
            # After a reconnect the end may come twice: replayed, and as the repetition's answer.
            return
        pending = self._pending.get(request_id)
        if _is_end(frame) and pending is not None and not pending.answer.done():
            self._answered.append(request_id)
            pending.answer.set_result(frame)
        elif frame["type"] != "heartbeat":
            self.on_update(frame)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.heartbeat_seconds)
            await self._send({"type": "heartbeat", "data": {"status": "alive"}})


def _is_end(frame: Frame) -> bool:
    answers = {"error", "watch", "unwatch"}
    ends = {"optimization_result", "optimization_cancelled"}
    return frame["type"] in answers or frame["data"].get("type") in ends


def _topics_of(portfolio_id: str) -> set[str]:
    return {f"portfolio_updates:{portfolio_id}", f"risk_alerts:{portfolio_id}"}


def print_result(title: str, result: Mapping[str, Any]) -> None:
    """Show weights and figures of a result."""
    weights = ", ".join(f"{symbol} {weight:.1%}" for symbol, weight in result["weights"].items())
    metrics = result["metrics"]
    print(f"{title}\n  weights     {weights}")
    print(f"  return {metrics['expected_return']:.1%}", end="")
    print(f"  volatility {metrics['expected_volatility']:.1%}", end="")
    print(f"  Sharpe {metrics['sharpe_ratio']:.2f}  ({result['optimization_time']:.3f} s)")


def print_update(frame: Frame) -> None:
    """Show one frame in a line."""
    data = frame["data"]
    if frame["type"] == "price_update":
        prices = [f"{symbol} {point['price']:.2f}" for symbol, point in data["prices"].items()]
        print(f"prices      {', '.join(prices[:6])}")
    elif frame["type"] == "error":
        print(f"error       {data['error']}: {data['detail']}")
    else:
        print(f"{frame['type']:12}{data.get('type') or data.get('status') or ''}")


TECH = ("AAPL", "GOOGL", "MSFT", "AMZN", "META")


async def demo(url: str) -> None:
    """Three objectives, a request that is refused, and a few prices."""
    async with OptimizationClient(url, print_update) as client:
        limits = {"long_only": True, "sum_to_one": True, "min_weight": 0.0, "max_weight": 0.4}
        for objective in ("maximize_sharpe", "minimize_variance", "minimize_cvar"):
            result = await client.optimize(TECH, objective, constraints=limits)
            print_result(objective, result)
        try:
            await client.optimize(TECH, constraints={"max_weight": 0.1})
        except OptimizationError as error:
            print(f"refused     {error} (fields: {', '.join(error.fields)})")
        await client.subscribe("price_updates")
        await asyncio.sleep(3)


async def monitor(url: str, every: float) -> None:
    """Keep a portfolio's optimum in view until Ctrl-C."""
    async with OptimizationClient(url, print_update) as client:
        for topic in ("portfolio_updates", "price_updates", "risk_alerts"):
            await client.subscribe(topic)
        while True:
            try:
                print_result("now", await client.optimize(TECH, trigger="time_based"))
            except OptimizationError as error:
                print(f"error       {error}")
                if not error.retry:
                    return
            await asyncio.sleep(every)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", default="ws://localhost:8000/ws")
    parser.add_argument("--monitor", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between optimisations")
    arguments = parser.parse_args()
    task = monitor(arguments.url, arguments.every) if arguments.monitor else demo(arguments.url)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(task)


if __name__ == "__main__":
    main()
