"""How long a tick takes when ten thousand portfolios watch it, and what a real server makes of it.

First a book of N portfolios over S symbols (a factor model with a fixed seed), each with rules of
every vectorised kind: ticks are timed from prices to fired rules, on one core, and no request is
submitted. Then ``manage.py serve``: what a client sees that only subscribes; how soon after a tick
the sample portfolio's new weights come, beside a round trip; and a thousand watched portfolios on
a feed of ten ticks a second: how late ticks and results come, and how the queue and the watchers'
backlog grow over minutes. Name parts to run only those. Run with OPENBLAS_NUM_THREADS=1.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quantumedge.settings")

import django

django.setup()

import numpy as np

from benchmarks.command_line import benchmark_options
from optimization.watching.book import Book, Position
from optimization.watching.rule_book import RuleBook
from optimization.watching.rules import (
    CorrelationRule,
    CustomRule,
    PriceChangeRule,
    RiskAlertRule,
    Rule,
)
from tests.e2e.client import TWENTY, Frame, ask, kind, optimise, send
from tests.e2e.harness import Server, data_folder, serving

DAYS = 252


def build(portfolios: int, symbols: int) -> tuple[Book, RuleBook, np.ndarray]:
    """A book, its rules and the last closes, shape (S,)."""
    rng = np.random.default_rng(7)
    universe = [f"S{i:04d}" for i in range(symbols)]
    market = rng.normal(0.0004, 0.01, (DAYS, 1))
    returns = market * rng.normal(1, 0.3, symbols) + rng.normal(0, 0.015, (DAYS, symbols))
    closes = rng.uniform(10, 500, symbols)
    positions, rules = [], []
    for _ in range(portfolios):
        held = rng.choice(symbols, size=int(rng.integers(5, 31)), replace=False)
        weights = rng.dirichlet(np.ones(len(held)))
        positions.append(
            Position(
                symbols=tuple(universe[i] for i in held),
                shares=weights * 1e5 / closes[held],
                targets=weights,
                base_prices=closes[held],
                returns=returns[:, held],
                last_closes=closes[held],
            )
        )
        own: list[Rule] = [
            PriceChangeRule(threshold=float(rng.uniform(0.05, 0.2))),
            RiskAlertRule(measure="volatility", limit=float(rng.uniform(0.3, 0.6))),
            RiskAlertRule(measure="drawdown", limit=float(rng.uniform(0.2, 0.5))),
            CorrelationRule(threshold=0.3),
            CustomRule(expression="drawdown > 0.4 and volatility > 0.45"),
        ]
        rules.append(own)
    return Book(positions, universe), RuleBook(rules), closes


def time_ticks(options: argparse.Namespace) -> dict[str, float]:
    """The rules alone."""
    book, rules, prices = build(options.portfolios, options.symbols)
    rng = np.random.default_rng(8)
    seconds, fired = [], 0
    for _ in range(options.ticks):
        prices = prices * (1 + rng.normal(0, 0.002, options.symbols))
        began = time.perf_counter()
        fired += len(rules.fired(book.quantities(prices)))
        seconds.append(time.perf_counter() - began)
    median, p99 = np.percentile(np.array(seconds) * 1e3, [50, 99])
    return {
        "portfolios": options.portfolios,
        "symbols": options.symbols,
        "ticks": options.ticks,
        "rules_fired": fired,
        "tick_ms_p50": round(float(median), 2),
        "tick_ms_p99": round(float(p99), 2),
    }


@dataclass
class Heard:
    """What a subscriber to everything noted.

    Attributes:
        tick_ages: Seconds from a tick to its arrival.
        reactions: Seconds from the tick at which a rule fired to the frame of its result.
        waits: Seconds until the first price and the first automatic result.
        cached: Automatic results that the cache served.
    """

    tick_ages: list[float] = field(default_factory=list)
    reactions: list[float] = field(default_factory=list)
    waits: dict[str, float] = field(default_factory=dict)
    cached: int = 0

    def take(self, frame: Frame, begun: float) -> None:
        """Note a frame."""
        now = time.time()
        if frame["type"] == "price_update":
            newest = max(point["timestamp"] for point in frame["data"]["prices"].values())
            self.tick_ages.append(now - newest)
            self.waits.setdefault("price", now - begun)
        elif kind(frame) == "optimization_result" and frame["data"]["trigger"] != "manual":
            because = frame["data"]["metadata"]["request_metadata"]["because"]
            self.reactions.append(now - because["at"])
            self.waits.setdefault("automatic result", now - begun)
            self.cached += frame["data"]["cached"]


async def listen(server: Server, seconds: float, heard: Heard) -> None:
    """Subscribe to everything and note it for some time."""
    async with server.connect() as socket:
        begun = time.time()
        for topic in ("price_updates", "portfolio_updates", "risk_alerts"):
            await send(socket, {"type": "subscribe", "data": {"topic": topic}})
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for message in socket:
                    heard.take(json.loads(message), begun)


async def watch_many(server: Server, count: int) -> None:
    """Watch portfolios of five symbols each, all with a rule on prices."""
    rng = np.random.default_rng(9)
    async with server.connect() as socket:
        for number in range(count):
            symbols = rng.choice(TWENTY, size=5, replace=False).tolist()
            data = {
                "name": f"Portfolio {number}",
                "symbols": symbols,
                "objective": "minimize_variance",
                "triggers": [{"kind": "price_change", "threshold": 0.005}],
            }
            await ask(socket, {"type": "watch", "data": data})


async def ask_in_turn(server: Server, count: int, pause: float = 0.0) -> list[float]:
    """Seconds of manual round trips, one after the other or with pauses between them."""
    times = []
    async with server.connect() as socket:
        for _ in range(count):
            await asyncio.sleep(pause)
            begun = time.perf_counter()
            await optimise(socket, symbols=TWENTY[:5])
            times.append(time.perf_counter() - begun)
    return times


async def sample_queue(server: Server, stop: asyncio.Event) -> list[int]:
    """Requests that wait, once a second."""
    sizes = []
    while not stop.is_set():
        status = json.loads(await asyncio.to_thread(server.get, "/api/v1/streaming/status"))
        sizes.append(int(status["optimization_service"]["queue_size"]))
        await asyncio.sleep(1)
    return sizes


async def drive(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    """Watch, wait, and measure."""
    await watch_many(server, options.watched)
    heard, stop = Heard(), asyncio.Event()
    sampling = asyncio.create_task(sample_queue(server, stop))
    await listen(server, options.minutes * 60, heard)
    stop.set()
    sizes = await sampling
    middle = len(sizes) // 2
    return {
        "watched": options.watched,
        "ticks": len(heard.tick_ages),
        "tick_age_ms_p50": _ms(heard.tick_ages, 50),
        "tick_age_ms_p99": _ms(heard.tick_ages, 99),
        "automatic_results": len(heard.reactions),
        "of_which_cached": heard.cached,
        "queue_mean_first_half": round(float(np.mean(sizes[:middle])), 1),
        "queue_mean_second_half": round(float(np.mean(sizes[middle:])), 1),
        "queue_most": max(sizes),
    }


def _ms(seconds: list[float], percentile: float) -> float:
    return round(float(np.percentile(seconds, percentile)) * 1e3, 1) if seconds else float("nan")


async def react(server: Server) -> dict[str, float]:
    """From a tick to the result of a sample portfolio, beside round trips in the same minutes.

    Rules fire a second or more apart, and whatever ran last has lost the processor's caches by
    then. So round trips are measured twice: as fast as they go, and as far apart as the results.
    """
    heard, in_turn, apart = Heard(), list[float](), list[float]()
    for _ in range(3):
        in_turn += await ask_in_turn(server, 30)
        await listen(server, 20, heard)
        apart += await ask_in_turn(server, 15, pause=1.0)
    return {
        "round_trip_ms_p50": _ms(in_turn, 50),
        "round_trip_apart_ms_p50": _ms(apart, 50),
        "tick_to_result_ms_p50": _ms(heard.reactions, 50),
        "automatic_results": len(heard.reactions),
    }


async def wait(server: Server) -> dict[str, float]:
    """What a client sees that only subscribes, with the settings of ``make run``."""
    heard = Heard()
    await listen(server, 75, heard)
    return {f"seconds_to_{name.replace(' ', '_')}": s for name, s in heard.waits.items()}


def run_first_minute(_: argparse.Namespace) -> dict[str, float]:
    """A server as ``make run`` starts it."""
    with data_folder() as folder, serving(folder) as server:
        server.wait_ready()
        return asyncio.run(wait(server))


def run_reaction(_: argparse.Namespace) -> dict[str, float]:
    """A server that optimises at every tick that fires."""
    fast = {"FEED_RATE": "5", "OPTIMIZATION_INTERVAL": "0.1"}
    with data_folder() as folder, serving(folder, **fast) as server:
        server.wait_ready()
        return asyncio.run(react(server))


def run_many(options: argparse.Namespace) -> dict[str, Any]:
    """A server of its own, ten ticks a second."""
    with data_folder() as folder, serving(folder, FEED="simulated", FEED_RATE="10") as server:
        server.wait_ready()
        return asyncio.run(drive(server, options))


PARTS = {
    "rules": time_ticks,
    "first-minute": run_first_minute,
    "reaction": run_reaction,
    "many": run_many,
}


def main() -> None:
    """Run the benchmark and print its figures, or JSON."""
    parser = benchmark_options(__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all when left out")
    parser.add_argument("--portfolios", type=int, default=10_000)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--ticks", type=int, default=100)
    parser.add_argument("--watched", type=int, default=1000, help="portfolios on the server")
    parser.add_argument("--minutes", type=float, default=3.0, help="of the run with many")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    figures = {name: PARTS[name](options) for name in options.parts or PARTS}
    print(json.dumps(figures) if options.json else json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
