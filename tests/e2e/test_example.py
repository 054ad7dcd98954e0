"""The example client of the specification does what it says, also when the server falls over."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from examples.websocket_optimization_client import OptimizationClient, OptimizationError
from tests.e2e.client import Frame, long_run
from tests.e2e.harness import PATIENCE, ROOT, Server, data_folder, serving

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def fragile() -> Iterator[Server]:
    """A server whose web process a test may kill."""
    with data_folder() as folder, serving(folder, FEED="none") as server:
        server.wait_ready()
        yield server


def test_the_demo_prints_three_results_a_refusal_and_prices(server: Server) -> None:
    done = subprocess.run(
        [sys.executable, "examples/websocket_optimization_client.py", "--url", server.ws_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for objective in ("maximize_sharpe", "minimize_variance", "minimize_cvar"):
        assert f"\n{objective}\n  weights     AAPL " in "\n" + done.stdout
    assert "refused     Invalid optimization request" in done.stdout
    assert "constraints.max_weight" in done.stdout
    assert "prices      " in done.stdout


async def test_a_refusal_names_code_and_fields(server: Server) -> None:
    async with OptimizationClient(server.ws_url) as client:
        with pytest.raises(OptimizationError, match="Unable to retrieve market data") as caught:
            await client.optimize(["AAPL", "NOPE"])
    assert caught.value.code == "unknown_symbol"
    assert caught.value.fields == ["symbols[1]"]
    assert not caught.value.retry


async def test_many_requests_at_once_each_get_their_own_answer(server: Server) -> None:
    async with OptimizationClient(server.ws_url) as client:
        pairs = [["AAPL", "KO"], ["JPM", "XOM"], ["PG", "MSFT"]]
        results = await asyncio.gather(
            *(client.optimize(pair, "minimize_variance") for pair in pairs)
        )
    assert [list(result["weights"]) for result in results] == pairs


async def test_heartbeats_are_sent_by_themselves(server: Server) -> None:
    async with OptimizationClient(server.ws_url, heartbeat_seconds=0.05) as client:
        await client.optimize(["AAPL", "KO"], "minimize_variance")


async def test_a_request_survives_the_death_of_the_web_process(fragile: Server) -> None:
    heard: list[Frame] = []
    begun = asyncio.Event()

    def listen(frame: Frame) -> None:
        heard.append(frame)
        if frame["data"].get("type") == "optimization_progress":
            begun.set()

    asked = dict(long_run(2.0)["data"])
    async with OptimizationClient(fragile.ws_url, listen) as client, asyncio.timeout(PATIENCE):
        answer = asyncio.create_task(client.optimize(asked.pop("symbols"), **asked))
        await begun.wait()
        fragile.child("manage.py web").kill()
        result = await answer
        assert sum(result["weights"].values()) == pytest.approx(1)
        again = await client.optimize(["AAPL", "KO"], "minimize_variance")
        assert again["request_id"] != result["request_id"]
    ends = [f for f in heard if f["data"].get("type") == "optimization_result"]
    assert ends == []
