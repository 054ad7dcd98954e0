"""Slow methods beside fast ones, and what their clients wait for, over a real socket.

Five tables, each on a server of its own; ``beside`` takes three minutes, the others less:

beside    A client that asks for a ``mean_variance`` optimisation forty times a second, and one that
          sends as many heartbeats, in turns without and with a search or circuit running all the
          time: p50, p99 and the ratio of the two sides.
progress  For each method: milliseconds from the request and from its start to the first progress
          frame, most progress frames in any second, and milliseconds to the result.
stops     Milliseconds from a cancel to its frame, and beyond a request's own time limit.
hard      A search that asks for more than its lane allows: seconds until it is ended by force.
frontier  A frontier of sixty points on a lane of one process and on one of two: seconds to the
          first point and to the end.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.command_line import benchmark_options, print_figures
from tests.e2e.client import (
    BANKS,
    TWENTY,
    Frame,
    is_end,
    kind,
    long_run,
    receive,
    request,
    send,
    until,
)
from tests.e2e.harness import Server, data_folder, serving

Row = dict[str, Any]

TABLES = ("beside", "progress", "stops", "hard limit", "frontier")

RATE = 40
"""Frames a second of each client beside a slow method."""

HARD_LIMIT = 3
"""Seconds after which the heuristic lane ends a solve by force here."""

SEARCHES = ("genetic_algorithm", "simulated_annealing", "particle_swarm")
CIRCUITS = ("vqe", "qaoa")


def endless(method: str, seconds: float = 600.0) -> Row:
    """A request that runs until its time limit."""
    if method in SEARCHES:
        return {**long_run(seconds)["data"], "method": method}
    parameters = {"rounds": 1000, "iterations": 100_000, "time_limit": seconds, "qubits": 16}
    return {**request(symbols=TWENTY, method=method)["data"], "parameters": parameters}


async def submit(socket: ClientConnection, data: Row) -> str:
    """Send a request; returns its id once it runs."""
    await send(socket, {"type": "optimization_request", "data": data})
    frames = await until(socket, lambda f: kind(f) == "optimization_progress" or is_end(f))
    if is_end(frames[-1]):
        raise RuntimeError(frames[-1]["data"])
    return str(frames[-1]["data"]["request_id"])


async def cancel(socket: ClientConnection, request_id: str) -> float:
    """Seconds from the cancel to its frame."""
    begun = time.perf_counter()
    await send(socket, {"type": "optimization_cancel", "data": {"request_id": request_id}})
    await until(socket, is_end)
    return time.perf_counter() - begun


@asynccontextmanager
async def running(server: Server, method: str | None) -> AsyncIterator[None]:
    """Keep a method busy for one block, or nothing."""
    if method is None:
        yield
        return
    async with server.connect() as socket:
        await receive(socket)
        name = await submit(socket, endless(method))
        yield
        await cancel(socket, name)


async def repeat(
    server: Server, seconds: float, frame: Frame, answered: Callable[[Frame], bool]
) -> list[float]:
    """Seconds of each answer to a frame that is sent at ``RATE``, or as fast as it is answered."""
    times = []
    async with server.connect() as socket:
        await receive(socket)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(int(seconds * RATE)):
            await asyncio.sleep(began + number / RATE - loop.time())
            sent = time.perf_counter()
            await send(socket, frame)
            last = (await until(socket, lambda f: answered(f) or f["type"] == "error"))[-1]
            times.append(time.perf_counter() - sent)
            if last["type"] == "error":
                raise RuntimeError(last["data"])
    return times


async def beside(server: Server, seconds: float, turns: int) -> list[Row]:
    """Turns without and with each slow method; the order of the sides changes every turn."""
    ask = request(symbols=BANKS)
    beat: Frame = {"type": "heartbeat", "data": {"status": "alive"}}
    rows = []
    for method in ("vqe", "qaoa", "simulated_annealing"):
        taken: dict[tuple[bool, str], list[float]] = {}
        for turn in range(turns):
            for busy in (False, True) if turn % 2 == 0 else (True, False):
                async with running(server, method if busy else None):
                    solves, beats = await asyncio.gather(
                        repeat(server, seconds, ask, is_end),
                        repeat(server, seconds, beat, lambda f: f["type"] == "heartbeat"),
                    )
                taken.setdefault((busy, "mean_variance"), []).extend(solves)
                taken.setdefault((busy, "heartbeat"), []).extend(beats)
        for what in ("mean_variance", "heartbeat"):
            alone, together = taken[False, what], taken[True, what]
            row: Row = {"running": method, "of": what, "count": len(alone) + len(together)}
            for name, share in (("p50", 50), ("p99", 99)):
                without, with_ = (1e3 * float(np.percentile(t, share)) for t in (alone, together))
                row |= {f"{name}_without": without, f"{name}_with": with_}
                row[f"{name}_ratio"] = with_ / without
            rows.append(row | {"goal_met": row["p99_ratio"] <= 1.5})
    return rows


async def told(server: Server, data: Row) -> Row:
    """One request's frames, by when they came."""
    async with server.connect() as socket:
        await receive(socket)
        begun = time.perf_counter()
        await send(socket, {"type": "optimization_request", "data": data})
        came: dict[str, list[float]] = {}
        while True:
            frame = await receive(socket)
            came.setdefault(kind(frame), []).append(time.perf_counter())
            if is_end(frame):
                break
    progress = came["optimization_progress"]
    started = came["optimization_started"][0]
    return {
        "first_from_request": 1e3 * (progress[0] - begun),
        "first_from_start": 1e3 * (progress[0] - started),
        "most_in_a_second": max(sum(0 <= t - p < 1 for t in progress) for p in progress),
        "result": 1e3 * (time.perf_counter() - begun),
        "solve": 1e3 * frame["data"]["metadata"]["solve_time"],
    }


async def progress(server: Server, repeats: int) -> list[Row]:
    """Every method at both sizes, medians; the largest for what is bounded."""
    rows = []
    for method in (*SEARCHES, *CIRCUITS):
        for symbols in (BANKS, TWENTY):
            data = request(symbols=symbols, method=method, parameters={"seed": 7})["data"]
            await told(server, data)
            runs = [await told(server, data) for _ in range(repeats)]
            row: Row = {"method": method, "assets": len(symbols)}
            for name in ("first_from_request", "first_from_start", "result", "solve"):
                row[name] = statistics.median(run[name] for run in runs)
            row["most_in_a_second"] = max(run["most_in_a_second"] for run in runs)
            met = row["first_from_start"] <= 50 and row["most_in_a_second"] <= 10
            if method in CIRCUITS and symbols is BANKS:
                met = met and row["solve"] < 500
            rows.append(row | {"goal_met": met})
    return rows


async def stops(server: Server, repeats: int) -> list[Row]:
    """Cancels and time limits of every method, and one hard limit."""
    rows: list[Row] = []
    for method in (*SEARCHES, *CIRCUITS):
        cancels, overruns = [], []
        async with server.connect() as socket:
            await receive(socket)
            for _ in range(repeats):
                cancels.append(await cancel(socket, await submit(socket, endless(method))))
                await send(
                    socket, {"type": "optimization_request", "data": endless(method, seconds=0.3)}
                )
                end = (await until(socket, is_end))[-1]
                overruns.append(end["data"]["metadata"]["solve_time"] - 0.3)
        rows.append(
            {
                "method": method,
                "cancel_worst": 1e3 * max(cancels),
                "overrun_worst": 1e3 * max(overruns),
                "goal_met": max(cancels) <= 1.0,
            }
        )
    return rows


async def hard_limit(server: Server) -> list[Row]:
    """A search that asks for more than its lane allows."""
    async with server.connect() as socket:
        await receive(socket)
        name = await submit(socket, endless("simulated_annealing"))
        begun = time.perf_counter()
        end = (await until(socket, is_end))[-1]
    assert end["data"]["request_id"] == name
    return [
        {
            "lane": "heuristic",
            "limit_seconds": HARD_LIMIT,
            "ended_after": time.perf_counter() - begun,
            "said": end["data"].get("code", kind(end)),
        }
    ]


async def frontier(server: Server, processes: int, repeats: int) -> Row:
    """A long frontier, medians."""
    data = {"symbols": TWENTY, "objective": "minimize_cdar", "points": 60}
    first, whole = [], []
    async with server.connect() as socket:
        await receive(socket)
        for _ in range(repeats):
            begun = time.perf_counter()
            await send(socket, {"type": "frontier_request", "data": data})
            await until(socket, lambda f: kind(f) == "frontier_point")
            first.append(time.perf_counter() - begun)
            await until(socket, lambda f: kind(f) == "frontier_result" or f["type"] == "error")
            whole.append(time.perf_counter() - begun)
    return {
        "processes": processes,
        "first_point_seconds": statistics.median(first),
        "whole_seconds": statistics.median(whole),
    }


def frontiers(repeats: int) -> list[Row]:
    """The same frontier on lanes of one process and of two."""
    rows = []
    for processes in (1, 2):
        lane = {"CONVEX_CONCURRENCY": str(processes)}
        with data_folder() as folder, serving(folder, FEED="none", **lane) as server:
            server.wait_ready()
            rows.append(asyncio.run(frontier(server, processes, repeats)))
    return rows


def measure(arguments: argparse.Namespace) -> dict[str, list[Row]]:
    """The tables that were asked for."""
    tables: dict[str, Callable[[Server], Coroutine[Any, Any, list[Row]]]] = {
        "beside": lambda server: beside(server, arguments.seconds, arguments.turns),
        "progress": lambda server: progress(server, arguments.repeats),
        "stops": lambda server: stops(server, arguments.repeats),
        "hard limit": hard_limit,
    }
    found: dict[str, list[Row]] = {}
    for title, table in tables.items():
        if arguments.only not in (None, title):
            continue
        limits = {"HEURISTIC_TIME_LIMIT": str(HARD_LIMIT)} if title == "hard limit" else {}
        with data_folder() as folder, serving(folder, FEED="none", **limits) as server:
            server.wait_ready()
            found[title] = asyncio.run(table(server))
    if arguments.only in (None, "frontier"):
        found["frontier"] = frontiers(arguments.repeats)
    return found


def show(found: dict[str, list[Row]]) -> None:
    """Print each table; times in milliseconds unless their name says seconds."""
    console = Console(width=150)
    for title, rows in found.items():
        table = Table(title=title, title_justify="left")
        for column in rows[0]:
            table.add_column(column.replace("_", " "), justify="right")
        for row in rows:
            table.add_row(
                *(
                    f"{value:.4g}"
                    if isinstance(value, float)
                    else {True: "met", False: "MISSED"}.get(value, str(value))
                    if isinstance(value, bool)
                    else str(value)
                    for value in row.values()
                )
            )
        console.print(table)


def main() -> None:
    """Run the benchmark and print tables, or JSON."""
    parser = benchmark_options(__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=TABLES, help="one table")
    arguments = parser.parse_args()
    found = measure(arguments)
    print_figures(found, show, as_json=arguments.json)


if __name__ == "__main__":
    main()
