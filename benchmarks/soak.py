"""Whether the server keeps up and keeps its shape: two web processes under load, and for long.

Starts the whole server with two web processes and measures, one after the other: a thousand
connections that receive five thousand messages a second; a hundred requests a second, acknowledged
or answered from the cache; five hundred clients that lose their connection at once and resume; a
client that never reads. ``--minutes 30`` adds the soak: half of the connections and five requests
a second, with the memory, sockets, tasks and rows of every process before and after.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.command_line import benchmark_options
from benchmarks.load import HANDSHAKE, Client, Tally, connect, masked, milliseconds, subscribe
from tests.e2e.client import TECH, request
from tests.e2e.harness import Server, command_line, data_folder, serving

TICKS = 5
"""Batches of prices a second under full load."""
SYMBOLS = "AAPL,MSFT,JNJ,JPM,XOM"
SETTLE_SECONDS = 5
LANES = ("mean_variance", "genetic_algorithm", "qaoa")
"""A method of each lane."""

FULL = 13 * 60
"""Seconds after which nothing is kept longer: that an end was told is remembered for 12 minutes."""


async def fan_out(port: int, connections: int, seconds: float) -> dict[str, Any]:
    """Connections that receive every batch of prices."""
    tally = Tally()
    clients = await connect(port, connections, tally)
    subscribe(clients, "price_updates")
    await asyncio.sleep(SETTLE_SECONDS)
    tally.take()
    began = time.monotonic()
    await asyncio.sleep(seconds)
    delays, elapsed = tally.take(), time.monotonic() - began
    for client in clients:
        client.transport.close()
    return {
        "connections": connections,
        "messages_per_second": round(len(delays) / elapsed),
        "lost_connections": tally.closed,
        **milliseconds(delays),
    }


class Asking:
    """Requests at a fixed rate over twenty connections, until acknowledged or answered.

    Args:
        clients: The connections.
        cached: Whether the cache answers them; else they are queued, and it is the
            acknowledgement that is waited for.
    """

    def __init__(self, clients: list[Client], cached: bool) -> None:
        self.clients = clients
        self.trigger = "price_change" if cached else "manual"
        self.wanted = "optimization_result" if cached else "optimization_queued"
        self.delays: list[float] = []
        self.refused = 0
        self.answered = asyncio.Event()
        # Each connection's answers come in the order in which it asked.
        self._sent: list[list[float]] = [[] for _ in clients]
        self._expected = 0
        for number, client in enumerate(clients):
            client.on_frame = partial(self._heard, number)

    def _heard(self, number: int, frame: dict[str, Any]) -> None:
        kind = frame["data"].get("type", frame["type"])
        if kind == self.wanted:
            self.delays.append(time.monotonic() - self._sent[number].pop(0))
        elif frame["type"] == "error":
            self._sent[number].pop(0)
            self.refused += 1
        if len(self.delays) + self.refused >= self._expected:
            self.answered.set()

    async def ask(self, rate: float, count: int) -> None:
        """Ask, and wait until the last one is answered."""
        self._expected, began = count, time.monotonic()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            place = number % len(self.clients)
            self._sent[place].append(time.monotonic())
            self.clients[place].send(request(symbols=TECH, trigger=self.trigger))
        await self.answered.wait()


async def requests(port: int, rate: float, seconds: float, cached: bool) -> dict[str, Any]:
    """Ask at a fixed rate, all of it answered in one way."""
    first = await connect(port, 1, Tally())
    # The cache is filled by the first of them.
    await Asking(first, cached=False).ask(1.0, 1)
    await asyncio.sleep(SETTLE_SECONDS)
    clients = await connect(port, 20, Tally())
    asking = Asking(clients, cached)
    await asking.ask(rate, int(rate * seconds))
    for client in [*first, *clients]:
        client.transport.close()
    return {"rate": rate, "refused": asking.refused, **milliseconds(asking.delays)}


async def reconnection(server: Server, port: int, count: int) -> dict[str, Any]:
    """Clients that lose their web process and all come back at once, from their last number."""
    tally = Tally()
    clients = await connect(port, count, tally)
    places = [await client.greeting for client in clients]
    for process in web_processes(server):
        process.kill()
    await tally.all_closed.wait()
    began = time.monotonic()

    async def resume(place: dict[str, Any]) -> float:
        loop = asyncio.get_running_loop()
        while True:
            try:
                _, client = await loop.create_connection(lambda: Client(Tally()), "127.0.0.1", port)
                await client.greeting
            except OSError:
                await asyncio.sleep(0.1)
                continue
            resumed = loop.create_future()

            def heard(frame: dict[str, Any], resumed: Any = resumed) -> None:
                if frame["type"] == "resume":
                    resumed.set_result(frame["data"]["recovered"])

            client.on_frame = heard
            wanted = {name: place[name] for name in ("epoch", "seq", "client_id")}
            client.send({"type": "resume", "data": wanted})
            if not await resumed:
                raise RuntimeError("a client was told that its history is gone")
            return time.monotonic() - began

    times = await asyncio.gather(*(resume(place) for place in places))
    return {"clients": count, "last_resumed_s": round(max(times), 2), **milliseconds(times)}


async def never_reads(server: Server, port: int) -> dict[str, Any]:
    """A client that subscribes to prices and reads nothing: what it costs, and until when."""
    before = {process.pid: process.memory_info().rss for process in web_processes(server)}
    deaf = socket.create_connection(("127.0.0.1", port))
    began = time.monotonic()
    frame = {"type": "subscribe", "data": {"topic": "price_updates"}}
    deaf.sendall(HANDSHAKE)
    deaf.sendall(masked(1, json.dumps(frame).encode()))
    mine, most = deaf.getsockname()[1], 0
    while any(mine == end for process in web_processes(server) for end in peers(process)):
        grown = [p.memory_info().rss - before[p.pid] for p in web_processes(server)]
        most = max(most, *grown)
        await asyncio.sleep(0.25)
    deaf.close()
    return {
        "gone_after_s": round(time.monotonic() - began, 1),
        "most_mb": round(most / 2**20, 2),
    }


async def soak(server: Server, port: int, options: argparse.Namespace) -> dict[str, Any]:
    """Half of the load for a long time; what grows meanwhile leaks."""
    tally = Tally()
    await warm_up(port)
    empty = held(server)
    clients = await connect(port, options.connections // 2, tally)
    subscribe(clients, "price_updates")
    askers = await connect(port, 10, Tally())
    samples: list[dict[str, Any]] = []
    delays: list[Any] = []
    end, number = time.monotonic() + options.minutes * 60, 0
    while time.monotonic() < end:
        began = time.monotonic()
        while time.monotonic() < began + 10:
            trigger = "manual" if number % 2 else "price_change"
            askers[number % 10].send(request(symbols=TECH, trigger=trigger))
            number += 1
            await asyncio.sleep(0.2)
        samples.append({"t": round(time.monotonic() - end + options.minutes * 60), **held(server)})
        delays.append(tally.take())
    lost = tally.closed
    for client in [*clients, *askers]:
        client.transport.close()
    await asyncio.sleep(2 * SETTLE_SECONDS)
    window = max(1, len(samples) // 6)
    begin = next(n for n, at in enumerate(samples) if at["t"] >= min(FULL, options.minutes * 30))
    first, last = samples[begin : begin + window], samples[-window:]
    names = sorted({name for sample in first for name in sample["rss_mb"]})
    return {
        "minutes": options.minutes,
        "requests": number,
        "lost_connections": lost,
        "prices": milliseconds(np.concatenate(delays)),
        "rss_drift_percent": {
            name: round(100 * (mean(last, name) / mean(first, name) - 1), 2) for name in names
        },
        "rss_mb": {name: series(samples, name) for name in names},
        "sockets": {"before": empty["sockets"], "after": held(server)["sockets"]},
        "threads": {"before": empty["threads"], "after": held(server)["threads"]},
        "tasks": {"before": empty["tasks"], "after": held(server)["tasks"]},
        "unended_rows": unended_rows(server),
    }


async def warm_up(port: int) -> None:
    """Have every process open what it keeps open once it has served."""
    clients = await connect(port, 40, Tally())
    subscribe(clients, "price_updates")
    for number, client in enumerate(clients):
        client.send(request(symbols=TECH, method=LANES[number % 3]))
    await asyncio.sleep(2 * SETTLE_SECONDS)
    for client in clients:
        client.transport.close()
    await asyncio.sleep(SETTLE_SECONDS)


def series(samples: list[dict[str, Any]], name: str) -> list[float]:
    """Memory of a process in each twelfth of the time, where it ran; a leak goes on."""
    chosen = samples[:: max(1, len(samples) // 12)]
    return [sample["rss_mb"][name] for sample in chosen if name in sample["rss_mb"]]


def mean(samples: list[dict[str, Any]], name: str) -> float:
    """Mean memory of a process over some samples."""
    found = [sample["rss_mb"][name] for sample in samples if name in sample["rss_mb"]]
    return float(np.mean(found)) if found else float("nan")


def held(server: Server) -> dict[str, Any]:
    """Memory, sockets, threads and tasks of each process of the server."""
    found: dict[str, Any] = {"rss_mb": {}, "sockets": {}, "threads": {}, "tasks": {}}
    for name, process in named(server).items():
        found["rss_mb"][name] = round(process.memory_info().rss / 2**20, 1)
        found["sockets"][name] = len(process.net_connections("all"))
        found["threads"][name] = process.num_threads()
        if name.startswith("web"):
            found["tasks"][name] = tasks(server, name, process)
    return found


def tasks(server: Server, name: str, process: psutil.Process) -> int:
    """Tasks of a web process' event loop, which it logs when asked."""
    log = server.data_dir / "log" / f"{name}.log"
    before = log.stat().st_size
    process.send_signal(signal.SIGUSR2)
    while True:
        with log.open("rb") as file:
            file.seek(before)
            for line in file.read().decode().splitlines():
                if "tasks=" in line:
                    return int(line.partition("tasks=")[2].split()[0])
        time.sleep(0.01)


def named(server: Server) -> dict[str, psutil.Process]:
    """The server's processes by what they do; pool processes after their worker."""
    found: dict[str, psutil.Process] = {}
    webs = 0
    for process in server.processes():
        words = command_line(process)
        if "manage.py web" in words:
            webs += 1
            found[f"web-{webs}"] = process
        elif "manage.py worker" in words:
            lane = words.split("manage.py worker ")[1].split()[0]
            pool = f"worker-{lane}" in found
            found[f"worker-{lane}{' pool' if pool else ''}"] = process
        elif "valkey" in words:
            found["valkey"] = process
        elif "run_feed" in words:
            found["feed"] = process
    return found


def web_processes(server: Server) -> list[psutil.Process]:
    """The web processes that run now."""
    return [process for name, process in named(server).items() if name.startswith("web")]


def peers(process: psutil.Process) -> list[int]:
    """Ports of the clients that a process is connected to."""
    return [c.raddr.port for c in process.net_connections("tcp") if c.raddr]


def unended_rows(server: Server) -> int:
    """Requests that are still queued or running in the database."""
    with sqlite3.connect(server.data_dir / "quantumedge.sqlite3") as database:
        (count,) = database.execute(
            "SELECT count(*) FROM optimization_optimizationrequest"
            " WHERE status IN ('queued', 'running')"
        ).fetchone()
    return int(count)


PARTS = ("fan_out", "acknowledged", "cached", "never_reads", "reconnection", "soak")


def parts_of(
    server: Server, port: int, options: argparse.Namespace
) -> dict[str, Callable[[], Coroutine[Any, Any, dict[str, Any]]]]:
    """The parts by their names, in the order in which they are measured."""
    ask = partial(requests, port, 100, options.seconds / 3)
    parts: dict[str, Callable[[], Coroutine[Any, Any, dict[str, Any]]]] = {
        "fan_out": partial(fan_out, port, options.connections, options.seconds),
        "acknowledged": partial(ask, cached=False),
        "cached": partial(ask, cached=True),
        "never_reads": partial(never_reads, server, port),
        "reconnection": partial(reconnection, server, port, options.connections // 2),
    }
    if options.minutes:
        parts["soak"] = partial(soak, server, port, options)
    return parts


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start the server and run every part on it."""
    settings = {
        "FEED": "simulated",
        "FEED_SYMBOLS": SYMBOLS,
        "FEED_RATE": str(TICKS),
        "WEB_PROCESSES": "2",
        "MAX_QUEUE_SIZE": "100000",
        "CACHE_PRICE_TOLERANCE": "1",
        "LOG_LEVEL": "INFO",
    }
    report: dict[str, Any] = {"load_average_before": os.getloadavg()[0]}
    with data_folder() as folder, serving(folder, "--port", "0", **settings) as server:
        port = int(server.address.rpartition(":")[2])
        parts = parts_of(server, port, options)
        for name in options.only or parts:
            report[name] = asyncio.run(parts[name]())
    report["load_average_after"] = os.getloadavg()[0]
    return report


def main() -> None:
    """Measure and print."""
    parser = benchmark_options(__doc__)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60, help="of the fan-out")
    parser.add_argument("--minutes", type=float, default=0, help="of the soak; 30 is the goal's")
    parser.add_argument("--only", choices=PARTS, nargs="+", help="leave the other parts out")
    options = parser.parse_args()
    if "soak" in (options.only or ()) and not options.minutes:
        parser.error("the soak needs --minutes")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Inherited by the servers; this process holds as many sockets as they do.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(json.dumps(measure(options), indent=None if options.json else 2))


if __name__ == "__main__":
    main()
