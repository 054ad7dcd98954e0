"""How long a tick takes when ten thousand portfolios watch it.

Builds a book of N portfolios over S symbols (a factor model with a fixed seed), gives each of
them rules of every vectorised kind, and times ticks: prices in, quantities, rules, fired ones out.
No request is submitted. One core; run with OPENBLAS_NUM_THREADS=1.
"""

import argparse
import json
import os
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quantumedge.settings")

import django

django.setup()

import numpy as np

from optimization.watching.book import Book, Position
from optimization.watching.rule_book import RuleBook
from optimization.watching.rules import (
    CorrelationRule,
    CustomRule,
    PriceChangeRule,
    RiskAlertRule,
    Rule,
)

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


def main() -> None:
    """Run the benchmark and print one line, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portfolios", type=int, default=10_000)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--ticks", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    book, rules, prices = build(options.portfolios, options.symbols)
    rng = np.random.default_rng(8)
    seconds, fired = [], 0
    for _ in range(options.ticks):
        prices = prices * (1 + rng.normal(0, 0.002, options.symbols))
        began = time.perf_counter()
        fired += len(rules.fired(book.quantities(prices)))
        seconds.append(time.perf_counter() - began)
    median, p99 = np.percentile(np.array(seconds) * 1e3, [50, 99])
    figures = {
        "portfolios": options.portfolios,
        "symbols": options.symbols,
        "ticks": options.ticks,
        "rules_fired": fired,
        "tick_ms_p50": round(float(median), 2),
        "tick_ms_p99": round(float(p99), 2),
    }
    print(json.dumps(figures) if options.json else figures)


if __name__ == "__main__":
    main()
