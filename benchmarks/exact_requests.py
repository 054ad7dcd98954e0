"""What the exact engine saves on the wire: the same request by the fast and by the general solver.

Starts ``manage.py serve``, imports the prices of a seeded factor model with ``import_prices``, and
asks over the WebSocket for the minimum CVaR of 100 assets over 1260 days, by turns with
``parameters.solver`` auto and general (CVXPY): round trip and the largest difference of a weight.
Then asks for every core objective of 20 assets and prints what the worker spent, from claim to end;
`benchmarks/worker.py` counts the closing update and the publish, too, and splits it into its steps.
"""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.command_line import benchmark_options, print_figures
from benchmarks.engine import factor_returns
from optimization.engine import Objective
from optimization.engine.objectives import CONVEX, RULES
from tests.e2e.client import optimise, receive
from tests.e2e.harness import Server, data_folder, server_environment, serving

ASSETS, PERIODS = 100, 1260
SMALL = 20
SYMBOLS = [f"F{asset:03d}" for asset in range(ASSETS)]
CONSTRAINTS = {"long_only": True, "sum_to_one": True, "max_weight": 0.1}
LARGEST_OF_FEW = 0.4
"""Weight of an asset among few: a tenth would leave some rules without an answer."""

EXACT = [objective for objective in Objective if objective in CONVEX | RULES]


def write_prices(path: Path) -> None:
    """Closes of the factor model, a column per symbol."""
    returns = factor_returns(ASSETS, PERIODS)
    closes = 100.0 * np.cumprod(np.vstack([np.ones(ASSETS), 1.0 + returns]), axis=0)
    dates = pd.bdate_range("2018-01-02", periods=PERIODS + 1, name="date")
    pd.DataFrame(closes, index=dates.strftime("%Y-%m-%d"), columns=SYMBOLS).to_csv(path)


def import_prices(server: Server) -> None:
    path = server.data_dir / "prices.csv"
    write_prices(path)
    subprocess.run(
        [sys.executable, "manage.py", "import_prices", str(path), "--source", "simulated"],
        cwd=ROOT,
        env=server_environment(server.data_dir),
        check=True,
        capture_output=True,
    )


async def timed(socket: ClientConnection, **asked: Any) -> tuple[float, dict[str, Any]]:
    """Milliseconds from the request to its result, and the result."""
    begun = time.perf_counter()
    frame = await optimise(socket, **{"constraints": CONSTRAINTS, **asked})
    elapsed = 1e3 * (time.perf_counter() - begun)
    if frame["type"] == "error":
        raise RuntimeError(frame["data"])
    return elapsed, frame["data"]


async def compare(socket: ClientConnection, rounds: int) -> dict[str, Any]:
    """Round trips of both solvers by turns, and how far their weights are apart."""
    times: dict[str, list[float]] = {"auto": [], "general": []}
    apart, solvers = 0.0, {}
    for _ in range(rounds):
        weights = {}
        for solver, found in times.items():
            elapsed, result = await timed(
                socket,
                symbols=SYMBOLS,
                objective="minimize_cvar",
                parameters={"lookback": PERIODS, "solver": solver},
            )
            found.append(elapsed)
            weights[solver] = np.array([result["weights"][symbol] for symbol in SYMBOLS])
            solvers[solver] = result["metadata"]["solver"]
        apart = max(apart, float(np.abs(weights["auto"] - weights["general"]).max()))
    medians = {name: float(np.median(found)) for name, found in times.items()}
    return {
        "solvers": solvers,
        "round trip ms": medians,
        "ratio": medians["general"] / medians["auto"],
        "largest difference of a weight": apart,
    }


async def worker_times(socket: ClientConnection, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds per objective that a worker spent on 20 assets, and the solve's part of them."""
    found = {}
    for objective in EXACT:
        spent, solved = [], []
        for _ in range(rounds):
            _, result = await timed(
                socket,
                symbols=SYMBOLS[:SMALL],
                objective=objective.value,
                constraints={**CONSTRAINTS, "max_weight": LARGEST_OF_FEW},
                parameters={"lookback": PERIODS},
            )
            spent.append(1e3 * result["optimization_time"])
            solved.append(1e3 * result["metadata"]["solve_time"])
        found[objective.value] = {
            "worker p50": float(np.median(spent)),
            "worker p99": float(np.percentile(spent, 99)),
            "solve p50": float(np.median(solved)),
        }
    return found


async def ask(server: Server, rounds: int) -> dict[str, Any]:
    async with server.connect() as socket:
        await receive(socket)
        await compare(socket, 1)  # what a first request loads is not what any other pays
        return {
            "minimum CVaR, 100 assets": await compare(socket, rounds),
            "20 assets": await worker_times(socket, 4 * rounds),
        }


def show(report: dict[str, Any]) -> None:
    console = Console()
    compared = report["minimum CVaR, 100 assets"]
    times, solvers = compared["round trip ms"], compared["solvers"]
    console.print(
        f"minimum CVaR of {ASSETS} assets, {PERIODS} days: {times['auto']:.1f} ms by"
        f" {solvers['auto']}, {times['general']:.1f} ms by {solvers['general']}:"
        f" {compared['ratio']:.1f} times; weights"
        f" {compared['largest difference of a weight']:.0e} apart"
    )
    table = Table(title=f"{SMALL} assets, {PERIODS} days, milliseconds in the worker")
    for column in ("objective", "claim to end p50", "p99", "solve p50"):
        table.add_column(column, justify="left" if column == "objective" else "right")
    for objective, figures in report["20 assets"].items():
        table.add_row(objective, *(f"{value:.2f}" for value in figures.values()))
    console.print(table)


def main() -> None:
    parser = benchmark_options(__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with data_folder() as folder, serving(folder, FEED="none") as server:
        server.wait_ready()
        import_prices(server)
        report = asyncio.run(ask(server, options.rounds))
    print_figures(report, show, as_json=options.json)


if __name__ == "__main__":
    main()
