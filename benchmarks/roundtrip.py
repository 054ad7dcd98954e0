"""Request to result over a real socket, beside the floor of the same run.

Starts ``manage.py serve`` and beside it, on the same Valkey and the same web server class, the
least that could do the job: a consumer that pushes each message onto a list, a process that pops
it and publishes it back. Clients of both take turns, so that a busy machine slows both alike.

Prints p50 and p99 of the round trip, of the round trip less the solve, of the floor, and their
ratio, for 1, 10 and 100 clients; where a request spends its time, and which process its processor
time; the time of a heartbeat while solves run; how long a request takes to end after its worker was
killed; and the memory of the web process.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.command_line import benchmark_options, print_figures
from tests.e2e.client import is_end, kind, long_run, optimise, receive, request, send, until
from tests.e2e.harness import Server, data_folder, serving

FLOOR_SERVER = """
from quantumedge.webserver import PacedServer  # isort: skip
import asyncio, json, os, sys, uuid
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path
from redis import asyncio as redis_asyncio
from quantumedge.listening import listen

redis = redis_asyncio.Redis.from_url(
    os.environ["FLOOR_REDIS"], socket_timeout=None, max_connections=1000
)
clients = {}
readers = []


async def read():
    pubsub = redis.pubsub()
    await pubsub.subscribe("floor")
    async for message in pubsub.listen():
        if message["type"] == "message":
            document = json.loads(message["data"])
            await clients[document["client"]].send(message["data"].decode())


class Floor(AsyncWebsocketConsumer):
    channel_layer_alias = None

    async def connect(self):
        self.name = uuid.uuid4().hex
        clients[self.name] = self
        if not readers:
            readers.append(asyncio.create_task(read()))
        await self.accept()

    async def receive(self, text_data=None, bytes_data=None):
        document = {"client": self.name, "data": json.loads(text_data)}
        await redis.lpush("floor.queue", json.dumps(document))

    async def disconnect(self, code):
        clients.pop(self.name, None)


listener = listen("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
routes = URLRouter([path("ws", Floor.as_asgi())])
PacedServer(ProtocolTypeRouter({"websocket": routes}), listener).run()
"""

FLOOR_WORKER = """
import os
from redis import Redis

redis = Redis.from_url(os.environ["FLOOR_REDIS"], socket_timeout=None)
print("ready", flush=True)
while True:
    redis.publish("floor", redis.brpop("floor.queue")[1])
"""

SYMBOLS = ["AAPL", "JPM", "XOM", "PG", "MSFT"]


@dataclass
class Times:
    """Seconds, by what was measured."""

    of: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, seconds: float) -> None:
        self.of.setdefault(name, []).append(seconds)

    def percentile(self, name: str, share: float) -> float:
        return float(np.percentile(self.of[name], share)) * 1e3

    def pair(self, name: str) -> dict[str, float]:
        return {"p50": self.percentile(name, 50), "p99": self.percentile(name, 99)}


@contextmanager
def floor(server: Server) -> Iterator[str]:
    """The floor's server and worker; gives its address."""
    socket = server.data_dir / "valkey.sock"
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "quantumedge.settings",
            "DATA_DIR": folder,
            "REDIS_URL": f"unix://{socket}",
            "FLOOR_REDIS": f"unix://{socket}",
        }
        started = [
            subprocess.Popen(
                [sys.executable, "-c", program],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for program in (FLOOR_SERVER, FLOOR_WORKER)
        ]
        try:
            lines = [process.stdout.readline() for process in started if process.stdout]
            yield f"ws://127.0.0.1:{lines[0].strip()}/ws"
        finally:
            for process in started:
                process.kill()
                process.communicate()


async def ask_floor(socket: ClientConnection, times: Times) -> None:
    begun = time.perf_counter()
    await socket.send(json.dumps(request(symbols=SYMBOLS)))
    await socket.recv()
    times.add("floor", time.perf_counter() - begun)


async def ask_server(socket: ClientConnection, times: Times) -> None:
    begun = last = time.perf_counter()
    await send(socket, request(symbols=SYMBOLS))
    while True:
        frame = await receive(socket)
        now = time.perf_counter()
        if kind(frame) in {"optimization_queued", "optimization_started", "optimization_result"}:
            times.add(f"until {kind(frame).removeprefix('optimization_')}", now - last)
            last = now
        if is_end(frame):
            break
    if frame["type"] == "error":
        raise RuntimeError(frame["data"])
    solve = frame["data"]["metadata"]["solve_time"]
    times.add("round trip", now - begun)
    times.add("less the solve", now - begun - solve)
    times.add("worker, claim to end", frame["data"]["optimization_time"])
    times.add("solve", solve)


@asynccontextmanager
async def connected(address: str, ask: Any, clients: int) -> AsyncIterator[list[ClientConnection]]:
    """Clients that are connected, and greeted where the server greets."""
    sockets = [await connect(address, compression=None) for _ in range(clients)]
    try:
        if ask is ask_server:
            for socket in sockets:
                await receive(socket)
        yield sockets
    finally:
        for socket in sockets:
            await socket.close()


async def closed_loop(sockets: list[ClientConnection], ask: Any, rounds: int, times: Times) -> None:
    """Clients that each ask again as soon as they are answered."""

    async def one(socket: ClientConnection) -> None:
        for _ in range(rounds):
            await ask(socket, times)

    await asyncio.gather(*map(one, sockets))


async def heartbeats(address: str, stop: asyncio.Event, times: Times) -> None:
    async with connect(address, compression=None) as socket:
        await receive(socket)
        while not stop.is_set():
            begun = time.perf_counter()
            await send(socket, {"type": "heartbeat", "data": {"status": "alive"}})
            await receive(socket)
            times.add("heartbeat", time.perf_counter() - begun)


async def load(
    server: Server, floor_address: str, clients: int, requests: int
) -> tuple[Times, Counter[str]]:
    """Both sides in turns of four blocks each: times, and what processor time requests cost."""
    times, used = Times(), Counter[str]()
    sides = ((floor_address, ask_floor), (server.ws_url, ask_server))
    for address, ask in sides:
        async with connected(address, ask, 1) as sockets:
            await closed_loop(sockets, ask, 10, Times())
    rounds = max(1, requests // clients // 4)
    for _ in range(4):
        async with connected(floor_address, ask_floor, clients) as sockets:
            await closed_loop(sockets, ask_floor, rounds, times)
        stop = asyncio.Event()
        beats = asyncio.create_task(heartbeats(server.ws_url, stop, times)) if clients > 1 else None
        async with connected(server.ws_url, ask_server, clients) as sockets:
            # Without the handshakes, which cost more than a request.
            used.subtract(processor_times(server))
            await closed_loop(sockets, ask_server, rounds, times)
            used.update(processor_times(server))
        stop.set()
        if beats is not None:
            await beats
    return times, used


async def seconds_after_kill(server: Server, whole_worker: bool) -> float:
    """From ``kill -9`` in the middle of a one-second solve to its only end."""
    async with server.connect() as socket:
        await receive(socket)
        await send(socket, long_run(1.0))
        await until(socket, lambda frame: kind(frame) == "optimization_progress")
        worker = server.child("worker heuristic")
        victims = worker.children(recursive=True) + ([worker] if whole_worker else [])
        begun = time.perf_counter()
        for victim in victims:
            victim.kill()
        await until(socket, is_end)
        return time.perf_counter() - begun


def processor_times(server: Server) -> Counter[str]:
    """Processor seconds used so far by each kind of process."""
    used: Any = Counter()
    for process in server.processes():
        words = process.cmdline()
        name = next((n for n in ("web", "worker", "beat", "valkey-server") if n in words), None)
        if name is None and words and "valkey" in words[0]:
            name = "valkey-server"
        if name == "worker":
            name += f" {words[-1]}"
        if name is not None:
            spent = process.cpu_times()
            used[name] += spent.user + spent.system
    return used  # type: ignore[no-any-return]  # a Counter of seconds


def summary(times: Times) -> dict[str, Any]:
    figures: dict[str, Any] = {name: times.pair(name) for name in times.of}
    figures["ratio"] = figures["less the solve"]["p50"] / figures["floor"]["p50"]
    return figures


async def wait_settled(server: Server) -> None:
    """Return once each lane has answered: its worker no longer loads its solvers by then."""
    async with server.connect() as socket:
        await receive(socket)
        for method in ("genetic_algorithm", "qaoa"):
            await optimise(socket, method=method, symbols=SYMBOLS[:3])


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {"clients": {}}
    with data_folder() as folder, serving(folder, FEED="none") as server:
        server.wait_ready()
        asyncio.run(wait_settled(server))
        with floor(server) as floor_address:
            for clients in arguments.clients:
                times, used = asyncio.run(load(server, floor_address, clients, arguments.requests))
                figures = report["clients"][clients] = summary(times)
                answered = len(times.of["round trip"])
                figures["processor ms per request"] = {
                    name: seconds / answered * 1e3 for name, seconds in used.items()
                }
        memory = server.child("manage.py web").memory_full_info()
        # Millions of bytes, of a process that has just served the last number of clients.
        report["web process MB"] = {
            "resident": memory.rss / 1e6,
            "its share": memory.pss / 1e6,
            "its own": memory.uss / 1e6,
        }
        if arguments.kills:
            report["seconds to the end after kill -9"] = {
                "pool processes": asyncio.run(seconds_after_kill(server, whole_worker=False)),
                "whole worker": asyncio.run(seconds_after_kill(server, whole_worker=True)),
            }
    return report


def show(report: dict[str, Any]) -> None:
    table = Table(title="Round trip, milliseconds (p50 / p99)")
    for column in ("clients", "round trip", "less the solve", "floor", "ratio", "heartbeat"):
        table.add_column(column, justify="right")

    def cell(figures: dict[str, Any], name: str) -> str:
        pair = figures.get(name)
        return f"{pair['p50']:.1f} / {pair['p99']:.1f}" if pair else "–"

    for clients, figures in report["clients"].items():
        cells = [cell(figures, name) for name in ("round trip", "less the solve", "floor")]
        table.add_row(str(clients), *cells, f"{figures['ratio']:.1f}", cell(figures, "heartbeat"))
    console = Console()
    console.print(table)
    console.print(stages(report, cell))
    memory = report["web process MB"]
    console.print("web process: " + ", ".join(f"{mb:.0f} MB {name}" for name, mb in memory.items()))
    for name, seconds in report.get("seconds to the end after kill -9", {}).items():
        console.print(f"kill -9 of {name}: ended after {seconds:.1f} s")


def stages(report: dict[str, Any], cell: Callable[[dict[str, Any], str], str]) -> Table:
    """Where the time goes, one column per number of clients."""
    table = Table(title="Stages (p50 / p99), processor time per request; milliseconds")
    table.add_column("")
    for clients in report["clients"]:
        table.add_column(f"{clients} clients", justify="right")
    columns = list(report["clients"].values())
    for name in columns[0]:
        if name.startswith(("until", "worker", "solve")):
            table.add_row(name, *(cell(figures, name) for figures in columns))
    used = [figures["processor ms per request"] for figures in columns]
    for name in used[0]:
        table.add_row(f"processor: {name}", *(f"{times.get(name, 0.0):.1f}" for times in used))
    return table


def main() -> None:
    parser = benchmark_options(__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--requests", type=int, default=400, help="per number of clients")
    parser.add_argument("--kills", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    report = measure(arguments)
    print_figures(report, show, as_json=arguments.json)


if __name__ == "__main__":
    main()
