"""The specification's eight integration flows, over real sockets, and its own client, unchanged."""

import json
import re
import subprocess
import sys
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.client import BANKS, TECH, Frame, ask, kind, optimise, receive, request, send, until
from tests.e2e.harness import ROOT, Server, manage, wait_until

pytestmark = pytest.mark.e2e

OBJECTIVES = [
    "maximize_sharpe",
    "minimize_variance",
    "maximize_return",
    "minimize_cvar",
    "maximize_sortino",
]


def check_result(frame: Frame, symbols: list[str]) -> dict[str, Any]:
    """The fields that the specification promises of a result."""
    assert frame["type"] == "portfolio_update", frame
    data: dict[str, Any] = frame["data"]
    assert data["type"] == "optimization_result"
    assert data["success"] is True
    assert data["error"] is None
    assert list(data["weights"]) == symbols
    assert sum(data["weights"].values()) == pytest.approx(1, abs=1e-9)
    assert all(-1e-9 <= weight <= 1 + 1e-9 for weight in data["weights"].values())
    assert {"expected_return", "expected_volatility", "sharpe_ratio"} <= data["metrics"].keys()
    assert {"objective", "constraints", "market_data_timestamp"} <= data["metadata"].keys()
    assert data["client_id"] == frame["client_id"]
    assert 0 < data["optimization_time"] < 60
    return data


async def test_a_client_is_greeted_with_its_id(server: Server) -> None:
    async with server.connect() as one, server.connect() as two:
        first, second = await receive(one), await receive(two)
    assert first["type"] == second["type"] == "connection_status"
    assert first["data"]["status"] == "connected"
    assert first["data"]["client_id"] != second["data"]["client_id"]
    assert first["client_id"] == first["data"]["client_id"]
    assert first["data"]["server_time"].endswith("Z")
    assert datetime.fromisoformat(first["data"]["server_time"]).timestamp() <= time.time()
    assert abs(first["timestamp"] - time.time()) < 60


async def test_the_subprotocol_is_optional_and_echoed(server: Server) -> None:
    from websockets.asyncio.client import connect
    from websockets.typing import Subprotocol

    wanted = [Subprotocol("quantumedge.v1")]
    async with connect(server.ws_url, subprotocols=wanted) as socket:
        assert socket.subprotocol == "quantumedge.v1"
        assert (await receive(socket))["type"] == "connection_status"


async def test_a_heartbeat_is_answered(server: Server) -> None:
    async with server.connect() as socket:
        beat = {"type": "heartbeat", "data": {"status": "alive"}, "timestamp": 1704110400.0}
        for _ in range(3):
            reply = await ask(socket, beat)
            assert reply["type"] == "heartbeat"
            assert reply["data"]["status"] == "alive"
            assert reply["data"]["server_time"].endswith("Z")
            assert reply["client_id"]


async def test_subscribers_get_prices_until_they_unsubscribe(server: Server) -> None:
    async with server.connect() as socket:
        topic = {"topic": "price_updates"}
        reply = await ask(socket, {"type": "subscribe", "data": topic})
        assert reply["data"] == {"topic": "price_updates", "status": "subscribed"}
        frames = await until(socket, lambda frame: frame["type"] == "price_update")
        prices = frames[-1]["data"]["prices"]
        assert prices
        for point in prices.values():
            assert point["price"] > 0
            assert point["source"] in {"real", "simulated"}
        reply = await ask(socket, {"type": "unsubscribe", "data": topic})
        assert reply["data"] == {"topic": "price_updates", "status": "unsubscribed"}


async def test_a_topic_may_be_narrowed_to_one_symbol(server: Server) -> None:
    async with server.connect() as socket:
        await ask(socket, {"type": "subscribe", "data": {"topic": "price_updates:AAPL"}})
        for _ in range(3):
            frames = await until(socket, lambda frame: frame["type"] == "price_update")
            assert frames[-1]["data"]["prices"].keys() == {"AAPL"}


async def test_subscribers_of_portfolio_updates_hear_of_every_request(server: Server) -> None:
    async with server.connect() as watcher, server.connect() as asker:
        await ask(watcher, {"type": "subscribe", "data": {"topic": "portfolio_updates"}})
        asked = await optimise(asker)
        heard = await until(watcher, lambda frame: kind(frame) == "optimization_result")
    assert heard[-1]["data"] == asked["data"]
    assert heard[-1]["client_id"] != heard[-1]["data"]["client_id"]


def test_the_status_endpoint_has_every_field_of_the_specification(server: Server) -> None:
    status = json.loads(server.get("/api/v1/streaming/status"))
    assert status["success"] is True
    assert status["timestamp"].endswith("Z")
    assert status["websocket_connections"].keys() >= {
        "total_connections",
        "total_subscriptions",
        "topics",
        "clients",
    }
    service = status["optimization_service"]
    assert service.keys() >= {
        "total_requests",
        "successful_optimizations",
        "failed_optimizations",
        "cache_hits",
        "average_optimization_time",
        "queue_size",
        "active_optimizations",
    }
    assert service["cache_stats"].keys() >= {"total_entries", "total_accesses", "ttl_seconds"}
    assert service["cache_stats"]["ttl_seconds"] == 300
    assert "mean_variance" in service["optimizers"]["classical"]
    assert service["optimizers"].keys() == {"classical", "quantum"}


async def test_a_request_is_queued_then_answered_with_a_result(server: Server) -> None:
    async with server.connect() as socket:
        await receive(socket)
        metadata = {"portfolio_name": "Tech Portfolio", "request_source": "dashboard"}
        constraints = {"long_only": True, "sum_to_one": True, "min_weight": 0.0, "max_weight": 0.4}
        await send(socket, request(constraints=constraints, metadata=metadata))
        frames = await until(socket, lambda frame: kind(frame) == "optimization_result")
    kinds = [kind(frame) for frame in frames]
    assert kinds[0] == "optimization_queued"
    assert set(kinds[1:-1]) <= {"optimization_started", "optimization_progress"}
    queued = frames[0]["data"]
    assert queued["queue_position"] >= 1
    assert queued["estimated_wait"] > 0
    assert re.fullmatch(r"opt_client\w+_\d{13}_\w+", queued["request_id"])
    result = check_result(frames[-1], TECH)
    assert result["request_id"] == queued["request_id"]
    assert max(result["weights"].values()) <= 0.4 + 1e-9
    assert (result["trigger"], result["method"]) == ("manual", "mean_variance")
    assert result["metadata"]["objective"] == "minimize_variance"
    assert result["metadata"]["constraints"].items() >= constraints.items()
    assert result["metadata"]["request_metadata"] == metadata
    assert result["metadata"]["data_sources"]["GOOGL"] == "simulated"
    assert result["metadata"]["data_sources"]["AAPL"] == "real"
    metrics = result["metrics"]
    assert metrics["sharpe_ratio"] == pytest.approx(
        metrics["expected_return"] / metrics["expected_volatility"]
    )


async def test_a_manual_request_repeats_to_the_last_digit(server: Server) -> None:
    async with server.connect() as socket:
        weights = [(await optimise(socket, symbols=BANKS))["data"]["weights"] for _ in range(2)]
    assert weights[0] == weights[1]


async def test_every_method_that_the_server_lists_answers(server: Server) -> None:
    async with server.connect() as socket:
        methods = (await receive(socket))["data"]["methods"]
        assert "mean_variance" in methods
        for method in methods:
            end = await optimise(socket, method=method, symbols=BANKS, parameters={"seed": 7})
            assert check_result(end, BANKS)["method"] == method


async def test_a_method_that_the_server_does_not_list_is_refused_by_name(server: Server) -> None:
    async with server.connect() as socket:
        methods = set((await receive(socket))["data"]["methods"])
        every = {"mean_variance", "genetic_algorithm", "simulated_annealing", "particle_swarm"}
        for method in sorted((every | {"vqe", "qaoa"}) - methods):
            error = (await optimise(socket, method=method))["data"]
            assert (error["code"], error["fields"]) == ("method_unavailable", ["method"])
            assert method in error["detail"]


@pytest.mark.parametrize("objective", OBJECTIVES)
async def test_every_objective_is_answered(server: Server, objective: str) -> None:
    async with server.connect() as socket:
        end = await optimise(socket, symbols=BANKS, objective=objective)
    result = check_result(end, BANKS)
    assert result["metadata"]["objective"] == objective
    assert result["metadata"]["optimality_gap"] == pytest.approx(0, abs=1e-6)


async def test_cvar_follows_its_confidence_and_sortino_beats_sharpes_own(server: Server) -> None:
    async with server.connect() as socket:
        cvar = [
            (
                await optimise(
                    socket,
                    symbols=BANKS,
                    objective="minimize_cvar",
                    constraints={"cvar_confidence": confidence},
                )
            )["data"]["metrics"]["cvar"]
            for confidence in (0.01, 0.05, 0.1)
        ]
        assert cvar[0] > cvar[1] > cvar[2] > 0
        sharpe = await optimise(socket, symbols=BANKS, objective="maximize_sharpe")
        sortino = await optimise(socket, symbols=BANKS, objective="maximize_sortino")
    by_sharpe, by_sortino = sharpe["data"]["metrics"], sortino["data"]["metrics"]
    assert by_sortino["sortino_ratio"] >= by_sharpe["sortino_ratio"] - 1e-9
    assert by_sharpe["sharpe_ratio"] >= by_sortino["sharpe_ratio"] - 1e-9


def test_the_client_of_the_specification_prints_weights_and_sharpe(
    server: Server, tmp_path: Path
) -> None:
    text = (Path(__file__).parent / "basic_usage.md").read_text()
    program = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]
    assert "ws://localhost:8000/ws" in program
    port = server.address.rpartition(":")[2]
    script = tmp_path / "basic_usage.py"
    script.write_text(program.replace("localhost:8000", f"localhost:{port}"))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    weights = re.search(r"Weights: (\{.*\})", done.stdout)
    assert weights is not None
    for symbol in ("AAPL", "GOOGL", "MSFT"):
        assert f"'{symbol}'" in weights[1]
    sharpe = re.search(r"Sharpe Ratio: (\S+)", done.stdout)
    assert sharpe is not None
    assert float(sharpe[1]) > 0


async def test_the_owners_frames_are_numbered_without_a_gap(server: Server) -> None:
    async with server.connect() as socket:
        greeting = (await receive(socket))["data"]
        ends = [await optimise(socket) for _ in range(3)]
    numbers = [greeting["seq"], *(end["seq"] for end in ends)]
    assert all(later == earlier + 1 for earlier, later in pairwise(numbers))
    assert {end["epoch"] for end in ends} == {greeting["epoch"]}


def test_a_comparison_on_the_workers_is_that_of_one_process(server: Server) -> None:
    server.wait_ready()
    # The workers of searches come after the ready line.
    wait_until(lambda: b"heuristic: " in server.get("/api/v1/health/ready"))
    words = ("compare", *TECH, "--methods", "mean_variance", "particle_swarm", "--json")
    few = ("--parameters", '{"iterations": 30}')
    here = json.loads(manage(server.data_dir, *words, *few))
    there = json.loads(manage(server.data_dir, *words, *few, "--on-workers"))
    assert [outcome["method"] for outcome in there] == ["mean_variance", "particle_swarm"]
    for one, other in zip(here, there, strict=True):
        assert other["result"]["weights"] == pytest.approx(one["result"]["weights"], abs=1e-9)
