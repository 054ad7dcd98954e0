"""Every method over a real socket: feasible, near the optimum, told about, ended on demand."""

import re
import uuid
from collections.abc import Iterator

import psutil
import pytest
from websockets.asyncio.client import ClientConnection

from tests.e2e.client import (
    BANKS,
    TWENTY,
    Frame,
    is_end,
    kind,
    long_run,
    optimise,
    receive,
    request,
    send,
    until,
)
from tests.e2e.harness import Server, command_line, data_folder, serving, wait_until

pytestmark = pytest.mark.e2e

OBJECTIVES = (
    "maximize_sharpe",
    "minimize_variance",
    "maximize_return",
    "minimize_cvar",
    "maximize_sortino",
)
EXACT = ("mean_variance",)
SEARCHES = ("genetic_algorithm", "simulated_annealing", "particle_swarm")
CIRCUITS = ("vqe", "qaoa")
MAX_WEIGHT, FEASIBLE = 0.4, 1e-9
CONSTRAINTS = {"long_only": True, "sum_to_one": True, "min_weight": 0.0, "max_weight": MAX_WEIGHT}
GAPS = dict.fromkeys(EXACT, 1e-6) | dict.fromkeys(SEARCHES, 1e-2) | dict.fromkeys(CIRCUITS, 1e-2)
"""Largest distance to the certified optimum, relative."""

TEN_MINUTES = 600.0
"""The longest time limit of the wire: the search ends by itself, however busy the machine."""


async def _ask_all(socket: ClientConnection, requests: dict[str, Frame]) -> dict[str, Frame]:
    """Send them at once and wait for every end; by the name each was sent under."""
    sent = {uuid.uuid4().hex: name for name in requests}
    for ours, name in sent.items():
        await send(socket, {**requests[name], "request_id": ours})
    accepted: dict[str, str] = {}
    ends: dict[str, Frame] = {}
    while len(ends) < len(requests):
        frame = await receive(socket)
        if kind(frame) == "optimization_queued":
            accepted[frame["data"]["request_id"]] = sent[frame["request_id"]]
        elif is_end(frame):
            assert frame["data"]["request_id"] in accepted, frame
            ends[accepted[frame["data"]["request_id"]]] = frame
    return ends


@pytest.mark.parametrize("symbols", [BANKS, TWENTY], ids=["5", "20"])
@pytest.mark.parametrize("method", [*EXACT, *SEARCHES, *CIRCUITS])
async def test_each_objective_is_answered_feasibly_beside_the_exact_optimum(
    server: Server, method: str, symbols: list[str]
) -> None:
    async with server.connect() as socket:
        await receive(socket)
        ends = await _ask_all(
            socket,
            {
                objective: request(
                    symbols=symbols,
                    objective=objective,
                    method=method,
                    constraints=CONSTRAINTS,
                    parameters={} if method in EXACT else {"seed": 7, "time_limit": TEN_MINUTES},
                )
                for objective in OBJECTIVES
            },
        )
    assert set(ends) == set(OBJECTIVES)
    for objective, end in ends.items():
        assert kind(end) == "optimization_result", (objective, end)
        weights, metadata = end["data"]["weights"], end["data"]["metadata"]
        assert list(weights) == symbols
        assert abs(sum(weights.values()) - 1.0) <= FEASIBLE
        assert all(-FEASIBLE <= w <= MAX_WEIGHT + FEASIBLE for w in weights.values())
        assert (metadata["method"], metadata["objective"]) == (method, objective)
        assert 0.0 <= metadata["optimality_gap"] <= GAPS[method], objective
        if method in CIRCUITS:
            assert metadata["p_feasible"] == 1.0
            assert metadata.get("narrowed_from") == (20 if symbols is TWENTY else None)


@pytest.mark.parametrize("method", [*SEARCHES, *CIRCUITS])
async def test_progress_comes_between_start_and_end_and_never_gets_worse(
    server: Server, method: str
) -> None:
    async with server.connect() as socket:
        await receive(socket)
        await send(socket, request(symbols=TWENTY, method=method, parameters={"seed": 7}))
        frames = await until(socket, is_end)
    kinds = [kind(frame) for frame in frames]
    assert kinds[:3] == ["optimization_queued", "optimization_started", "optimization_progress"]
    assert set(kinds[2:-1]) == {"optimization_progress"}
    assert kinds[-1] == "optimization_result"
    told = [frame["data"] for frame in frames[2:-1]]
    values = [report["best_value"] for report in told]
    assert values == sorted(values, reverse=True)
    # At most ten a second by the solver's own clock.
    assert len(told) <= 1 + 10 * frames[-1]["data"]["metadata"]["solve_time"] + 1
    final = frames[-1]["data"]["metrics"]["expected_volatility"]
    assert final <= values[-1] + 1e-12


LONG = {
    # Value at risk has no bound to meet: a genetic search meets the variance's to the last bit.
    **{
        method: long_run(60.0)["data"] | {"method": method, "objective": "minimize_value_at_risk"}
        for method in SEARCHES
    },
    **{
        method: request(
            symbols=TWENTY,
            method=method,
            parameters={"qubits": 16, "rounds": 1000, "iterations": 100_000, "time_limit": 60.0},
        )["data"]
        for method in CIRCUITS
    },
}
"""Requests that would keep a worker busy for a minute."""


@pytest.mark.parametrize("method", LONG)
async def test_a_running_method_is_cancelled_and_its_worker_goes_on(
    server: Server, method: str
) -> None:
    async with server.connect() as socket:
        await receive(socket)
        await send(socket, {"type": "optimization_request", "data": LONG[method]})
        running = await until(socket, lambda frame: kind(frame) == "optimization_progress")
        name = running[0]["data"]["request_id"]
        await send(socket, {"type": "optimization_cancel", "data": {"request_id": name}})
        ended = (await until(socket, is_end))[-1]
        assert kind(ended) == "optimization_cancelled"
        assert ended["data"]["request_id"] == name
        after = await optimise(socket, symbols=BANKS, method=method)
        assert kind(after) == "optimization_result"
        assert after["data"]["request_id"] != name


@pytest.mark.parametrize("method", LONG)
async def test_a_method_ends_at_its_time_limit_with_what_it_has(
    server: Server, method: str
) -> None:
    data = LONG[method]
    parameters = {**data["parameters"], "time_limit": 0.2}
    async with server.connect() as socket:
        await receive(socket)
        end = await optimise(socket, **{**data, "parameters": parameters})
    assert kind(end) == "optimization_result"
    assert end["data"]["metadata"]["stopped_by"] == "time_limit"
    assert abs(sum(end["data"]["weights"].values()) - 1.0) <= FEASIBLE


@pytest.fixture(scope="module")
def workshop() -> Iterator[Server]:
    """A server whose pool processes a test may kill, with a short hard limit on searches."""
    with data_folder() as folder:
        environment = {"FEED": "none", "HEURISTIC_TIME_LIMIT": "2"}
        with serving(folder, **environment) as server:
            server.wait_ready()
            yield server


async def test_a_search_beyond_its_lanes_limit_is_ended_by_force_and_says_so(
    workshop: Server,
) -> None:
    async with workshop.connect() as socket:
        await receive(socket)
        await send(socket, long_run(TEN_MINUTES))
        error = (await until(socket, is_end))[-1]
        assert error["data"]["code"] == "time_limit"
        assert "the limit of the heuristic lane is 2 s" in error["data"]["detail"]
        after = await optimise(socket, symbols=BANKS, method="genetic_algorithm")
    assert kind(after) == "optimization_result"


def _pool(server: Server, lane: str) -> set[int]:
    """The processes that solve for a lane."""
    return {child.pid for child in server.child(f"worker {lane}").children()}


async def test_the_same_seed_gives_the_same_weights_on_another_process(workshop: Server) -> None:
    async def answers() -> dict[str, dict[str, float]]:
        async with workshop.connect() as socket:
            await receive(socket)
            ends = await _ask_all(
                socket,
                {
                    method: request(
                        symbols=BANKS,
                        objective="minimize_cvar",
                        method=method,
                        parameters={"seed": 11, "time_limit": TEN_MINUTES},
                    )
                    for method in (*SEARCHES, *CIRCUITS)
                },
            )
        return {method: end["data"]["weights"] for method, end in ends.items()}

    first = await answers()
    for lane in ("heuristic", "quantum"):
        before = _pool(workshop, lane)
        assert before
        for pid in before:
            psutil.Process(pid).kill()
        wait_until(lambda lane=lane, before=before: bool(_pool(workshop, lane) - before))  # type: ignore[misc]
        assert not _pool(workshop, lane) & before
    assert await answers() == first


def _places(process: psutil.Process, library: str) -> set[str]:
    """Where a library's files are mapped into a process."""
    return {
        f"{region.addr} {region.path}"
        for region in process.memory_maps(grouped=False)
        if re.search(rf"site-packages/{library}\b", region.path)
    }


PENNYLANE = "rustworkx"
"""A compiled library that PennyLane imports and nothing else here does."""


async def test_only_the_quantum_worker_loads_pennylane_and_its_children_share_it(
    workshop: Server,
) -> None:
    async with workshop.connect() as socket:
        await receive(socket)
        for method in ("mean_variance", "genetic_algorithm", "qaoa"):
            assert kind(await optimise(socket, symbols=BANKS, method=method)) == (
                "optimization_result"
            )
    parent = workshop.child("worker quantum")
    # The parent solves no request: what it holds was there before its pool was made.
    loaded = _places(parent, PENNYLANE)
    assert loaded
    children = parent.children()
    assert children
    for child in children:
        assert _places(child, PENNYLANE) == loaded
    family = {parent.pid, *(child.pid for child in children)}
    for process in workshop.processes():
        if process.pid not in family:
            assert not _places(process, PENNYLANE), command_line(process)
