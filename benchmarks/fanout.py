"""One tick to a thousand subscribers: the hub beside plain ``group_send`` on the core layer.

Starts a private Valkey, our web server, and beside it a minimal Channels server whose consumers
join a group of ``RedisChannelLayer``; opens N raw WebSockets to each in turn, publishes slow ticks
and a burst, and prints for both: p50 and p99 from publishing to arrival, how many messages
arrived, and how many clients hold the newest price. Then opens ten thousand idle connections to our
server, from several addresses of the loopback, and prints its memory per connection, before and
after each has subscribed to prices. Request loops are bounded.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.command_line import benchmark_options
from benchmarks.load import HANDSHAKE, PING, PONG, TEXT, masked
from tests.valkey import start_valkey

SUBSCRIBE = b'{"type":"subscribe","data":{"topic":"price_updates"}}'
SYMBOL = "TICK"

BASELINE = """
import os
import django
django.setup()
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path


class Plain(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        await self.channel_layer.group_add("prices", self.channel_name)

    async def price(self, event):
        await self.send(event["text"])


application = ProtocolTypeRouter({"websocket": URLRouter([path("ws", Plain.as_asgi())])})
"""


MAKES_UP_SECONDS = 3.0
"""Longer than the hub takes to notice a batch that got lost, and to make up for it."""


@dataclass
class Received:
    """What the clients got.

    Attributes:
        messages: Moment of arrival, client and message, to be read when the clients rest: what
            a client does with a message must not delay the next client's.
        newest: Newest tick of each client.
    """

    messages: list[tuple[float, int, bytes]] = field(default_factory=list)
    newest: dict[int, int] = field(default_factory=dict)

    def take_delays(self) -> list[float]:
        """Seconds from the tick to its arrival, of the messages since the last call."""
        delays = []
        for arrived, client, payload in self.messages:
            point = json.loads(payload)["data"]["prices"][SYMBOL]
            delays.append(arrived - point["timestamp"])
            self.newest[client] = int(point["price"])
        self.messages.clear()
        return delays


class Client(asyncio.Protocol):
    """A WebSocket client that reads prices and nothing else."""

    def __init__(self, received: Received, subscribe: bool) -> None:
        self.received = received
        self.subscribe = subscribe
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.buffer = b""
        self.upgraded = False

    def connection_made(self, transport: Any) -> None:
        """Ask for the upgrade."""
        self.transport = transport
        transport.write(HANDSHAKE)

    def connection_lost(self, error: Exception | None) -> None:
        """Say so to who waits for the upgrade."""
        if not self.open.done():
            self.open.set_exception(error or ConnectionError("closed before the upgrade"))

    def data_received(self, data: bytes) -> None:
        """Split frames and note prices."""
        arrived = time.time()
        self.buffer += data
        if not self.upgraded:
            head, separator, rest = self.buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.open.set_exception(ConnectionError(head[:60]))
                return
            self.upgraded, self.buffer = True, rest
            if self.subscribe:
                self.transport.write(masked(TEXT, SUBSCRIBE))
            self.open.set_result(None)
        for opcode, payload in self._frames():
            if opcode == PING:
                self.transport.write(masked(PONG, payload))
            elif opcode == TEXT and b'"price_update"' in payload[:40]:
                self.received.messages.append((arrived, id(self), payload))

    def _frames(self) -> list[tuple[int, bytes]]:
        found = []
        while len(self.buffer) >= 2:
            opcode, size, start = self.buffer[0] & 15, self.buffer[1] & 127, 2
            if size == 126:
                if len(self.buffer) < 4:
                    break
                size, start = int.from_bytes(self.buffer[2:4], "big"), 4
            if len(self.buffer) < start + size:
                break
            found.append((opcode, self.buffer[start : start + size]))
            self.buffer = self.buffer[start + size :]
        return found


async def connect(port: int, count: int, subscribe: bool, received: Received) -> list[Client]:
    """Open ``count`` connections, a hundred at a time, a few thousand from each address."""
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    for first in range(0, count, 100):
        source = f"127.0.0.{2 + first // 5000}"
        batch = [
            loop.create_connection(
                lambda: Client(received, subscribe), "127.0.0.1", port, local_addr=(source, 0)
            )
            for _ in range(min(100, count - first))
        ]
        opened = [protocol for _, protocol in await asyncio.gather(*batch)]
        await asyncio.gather(*(asyncio.wait_for(client.open, 120) for client in opened))
        clients += opened
    return clients


Publish = Callable[[int], Coroutine[Any, Any, None]]


async def measure(port: int, count: int, publish: Publish) -> dict[str, float]:
    """Slow ticks, then a burst of 300 at 100 a second."""
    received = Received()
    clients = await connect(port, count, True, received)
    await publish(0)
    await _quiet(received)
    received.take_delays()
    for tick in range(1, 12):
        await publish(tick)
        await _quiet(received)
    slow = sorted(received.take_delays())
    burst, began = 300, time.time()
    for tick in range(burst):
        await publish(1000 + tick)
        await asyncio.sleep(max(0.0, began + (tick + 1) * 0.01 - time.time()))
    await _quiet(received, MAKES_UP_SECONDS)
    received.take_delays()
    held = sum(newest == 1000 + burst for newest in received.newest.values())
    for client in clients:
        client.transport.close()
    return {
        "p50_ms": round(_quantile(slow, 0.5) * 1e3, 1),
        "p99_ms": round(_quantile(slow, 0.99) * 1e3, 1),
        "slow_delivered_percent": round(100 * len(slow) / (11 * count), 1),
        "hold_newest_percent": round(100 * held / count, 1),
    }


async def _quiet(received: Received, seconds: float = 0.7) -> None:
    """Wait until nothing has arrived for a while."""
    before = -1
    while before != len(received.messages):
        before = len(received.messages)
        await asyncio.sleep(seconds)


def _quantile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a child that dies with this process' terminal session."""
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def reachable(port: int) -> None:
    """Wait until a server listens."""
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise TimeoutError(f"nothing listens on {port}")


def resident_kib(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


async def ours(port: int, pid: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure the hub, then idle memory."""
    from marketdata.models import Source
    from marketdata.quotes import Quote, record_quotes
    from marketdata.signals import tick_recorded
    from optimization.watching.watcher import watch_tick

    tick_recorded.disconnect(watch_tick)

    async def publish(tick: int) -> None:
        quote = Quote(SYMBOL, tick + 1.0, time.time(), Source.SIMULATED, "benchmark")
        record_quotes([quote])

    figures = await measure(port, options.clients, publish)
    if options.idle:
        received = Received()
        before = resident_kib(pid)
        idle = await connect(port, options.idle, False, received)
        await asyncio.sleep(2)
        figures["idle_kib_per_connection"] = round((resident_kib(pid) - before) / options.idle, 1)
        for client in idle:
            client.transport.write(masked(TEXT, SUBSCRIBE))
        # Each is told the newest price when it has subscribed.
        await _quiet(received, MAKES_UP_SECONDS)
        received.messages.clear()
        await publish(0)
        await _quiet(received, MAKES_UP_SECONDS)
        grown = resident_kib(pid) - before
        figures["subscribed_kib_per_connection"] = round(grown / options.idle, 1)
        newest = {client for _, client, _ in received.messages}
        figures["subscribed_reached_percent"] = round(100 * len(newest) / options.idle, 1)
        for client in idle:
            client.transport.close()
    return figures


async def baseline(port: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure plain ``group_send``."""
    from channels.layers import get_channel_layer

    layer = get_channel_layer("core")

    async def publish(tick: int) -> None:
        point = {"price": tick + 1.0, "timestamp": time.time()}
        frame = {"type": "price_update", "data": {"prices": {SYMBOL: point}}}
        text = json.dumps(frame, separators=(",", ":"))
        await layer.group_send("prices", {"type": "price", "text": text})

    return await measure(port, options.clients, publish)


async def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Start everything, measure, stop everything."""
    environment = dict(os.environ)
    (folder / "baseline.py").write_text(BASELINE)
    environment["PYTHONPATH"] = f"{folder}:{ROOT}"
    ports = free_port(), free_port()
    web = start([sys.executable, "manage.py", "web", "--port", str(ports[0])], environment)
    daphne = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(ports[1])]
    plain = start(
        [*daphne, "baseline:application"],
        {**environment, "DJANGO_SETTINGS_MODULE": "on_core_layer"},
    )
    try:
        await asyncio.gather(*map(reachable, ports))
        figures = {
            "clients": options.clients,
            "hub": await ours(ports[0], web.pid, options),
            "group_send": await baseline(ports[1], options),
        }
    finally:
        for child in (web, plain):
            child.send_signal(signal.SIGTERM)
            child.wait(60)
    ratio = figures["group_send"]["p50_ms"] / figures["hub"]["p50_ms"]
    return {**figures, "p50_ratio": round(ratio, 1)}


def main() -> None:
    """Run the benchmark and print its table, or JSON."""
    parser = benchmark_options(__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections; 0 for none")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Inherited by the servers; this process holds as many sockets as they do.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="qe-", dir="/tmp") as name:
        folder = Path(name)
        url = f"unix://{folder / 'valkey.sock'}"
        (folder / "with_core_layer.py").write_text(
            "from quantumedge.settings import *\n"
            "CHANNEL_LAYERS['core'] = {'BACKEND': 'channels_redis.core.RedisChannelLayer',"
            " 'CONFIG': {'hosts': [{'address': REDIS_URL, 'socket_timeout': None}]}}\n"
        )
        (folder / "on_core_layer.py").write_text(
            "from with_core_layer import *\nCHANNEL_LAYERS['default'] = CHANNEL_LAYERS['core']\n"
        )
        os.environ.update(
            DATA_DIR=name,
            REDIS_URL=url,
            BROKER_URL=f"redis+socket://{folder / 'valkey.sock'}",
            DJANGO_SETTINGS_MODULE="with_core_layer",
            LOG_LEVEL="ERROR",
        )
        sys.path.insert(0, name)
        valkey = start_valkey(folder)
        try:
            import django

            django.setup()
            os.environ["DJANGO_SETTINGS_MODULE"] = "quantumedge.settings"
            figures = asyncio.run(run(folder, options))
        finally:
            valkey.terminate()
            valkey.wait(10)
    print(json.dumps(figures) if options.json else json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
