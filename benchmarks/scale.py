"""Throughput against workers and hosts: what each further one adds, and what of it is lost.

One host is this machine; the second is a network namespace that a cable joins to it, with a web
process, a folder and workers of its own. PostgreSQL, Redis and RabbitMQ run on the first. Clients
on every host's web process each ask for one exact solve after the other. The efficiency is the
throughput over that of one worker times the number of workers. All hosts share this machine's
cores, so the number of cores is the most that it can grow by, and clients, web processes, database
and broker need some of them, too. Needs root.
"""

import argparse
import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.command_line import benchmark_options, print_figures
from tests.e2e.client import TWENTY, is_end, kind, receive, request, send, until
from tests.e2e.harness import wait_until
from tests.e2e.hosts import Host, live_workers, two_hosts

PORT = 8000
CLIENTS = 12
"""Clients over all hosts: enough that no worker waits for one."""


class Asker:
    """One client that asks for one thing after the other."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.answered = 0

    async def ask_until(self, end: float) -> None:
        """Ask until the moment ``end`` of the monotonic clock."""
        headers = {"Authorization": f"Bearer {self.host.token}"}
        async with connect(
            f"ws://{self.host.address}:{PORT}/ws", additional_headers=headers
        ) as socket:
            await receive(socket)
            while time.monotonic() < end:
                await send(socket, request(symbols=TWENTY, objective="minimize_cvar"))
                ended = (await until(socket, is_end))[-1]
                if kind(ended) != "optimization_result":
                    raise RuntimeError(str(ended["data"]))
                self.answered += 1


async def throughput(hosts: list[Host], seconds: float) -> float:
    """Solves a second, over all clients."""
    askers = [Asker(hosts[number % len(hosts)]) for number in range(CLIENTS)]
    end = time.monotonic() + seconds
    await asyncio.gather(*(asker.ask_until(end) for asker in askers))
    return sum(asker.answered for asker in askers) / seconds


def run(hosts: list[Host], workers: int, seconds: float) -> float:
    """Solves a second with so many workers, spread evenly over the hosts."""
    placed = [(hosts[number % len(hosts)], f"worker-{number}") for number in range(workers)]
    for host, name in placed:
        host.start(name, "worker", "convex", "--concurrency", "1")
    wait_until(lambda: live_workers(hosts[0], PORT) == workers)
    # The first round warms every worker up.
    asyncio.run(throughput(hosts, seconds / 4))
    rate = asyncio.run(throughput(hosts, seconds))
    for host, name in placed:
        host.stop(name)
    return rate


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every number of workers on one host, then on two."""
    rows: list[dict[str, Any]] = []
    with two_hosts(MAX_CONNECTIONS_PER_USER="1000") as both:
        for host in both:
            host.start("web", "web", "--port", str(PORT))
        both[0].start("beat", "beat")
        for host in both:
            wait_until(partial(host.wrote, "web", "Listening"))
        for count in options.hosts:
            for workers in range(count, options.workers + 1):
                rate = run(list(both[:count]), workers, options.seconds)
                rows.append({"hosts": count, "workers": workers, "solves_per_second": rate})
    alone = rows[0]["solves_per_second"] / rows[0]["workers"]
    for row in rows:
        row["efficiency"] = round(row["solves_per_second"] / (row["workers"] * alone), 3)
        row["solves_per_second"] = round(row["solves_per_second"], 1)
    return {"cores": psutil.cpu_count(), "load_average": os.getloadavg()[0], "rows": rows}


def show(report: dict[str, Any]) -> None:
    """Print a table of what ``measure`` found."""
    table = Table(title=f"Solves a second on {report['cores']} cores")
    for column in ("hosts", "workers", "solves/s", "efficiency"):
        table.add_column(column, justify="right")
    for row in report["rows"]:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def main() -> None:
    """Measure and print."""
    parser = benchmark_options(__doc__)
    parser.add_argument("--workers", type=int, default=4, help="largest number of workers")
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2], choices=[1, 2])
    parser.add_argument("--seconds", type=float, default=9, help="of each measurement")
    options = parser.parse_args()
    print_figures(measure(options), show, as_json=options.json)


if __name__ == "__main__":
    main()
