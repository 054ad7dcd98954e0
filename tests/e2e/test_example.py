"""The example client of the specification does what it says, also when the server falls over."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from threading import Timer

import pytest

from examples.websocket_optimization_client import OptimizationClient, OptimizationError
from tests.e2e.client import Frame, long_run, optimise
from tests.e2e.harness import PATIENCE, ROOT, Server, data_folder, serving
from tests.proxy import proxying

pytestmark = pytest.mark.e2e

AS_IN_A_TERMINAL = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script that Ctrl-C reaches, though a shell has its background ignore it."""


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


async def test_a_watched_portfolio_is_optimised_by_itself_until_it_is_watched_no_longer(
    server: Server,
) -> None:
    results: asyncio.Queue[Frame] = asyncio.Queue()

    def listen(frame: Frame) -> None:
        if frame["data"].get("type") == "optimization_result":
            results.put_nowait(frame["data"])

    pair = ["PEP", "WMT"]
    trigger = {"kind": "price_change", "threshold": 1e-6}
    async with OptimizationClient(server.ws_url, listen) as client, asyncio.timeout(PATIENCE):
        portfolio_id = await client.watch(pair, "minimize_variance", triggers=[trigger])
        while list((result := await results.get())["weights"]) != pair:
            pass
        assert result["trigger"] == "price_change"
        assert sum(result["weights"].values()) == pytest.approx(1)
        await client.unwatch(portfolio_id)
        with pytest.raises(OptimizationError) as caught:
            await client.unwatch(portfolio_id)
    assert caught.value.fields == ["portfolio_id"]


def test_the_monitor_optimises_again_and_shows_what_happens_until_it_is_interrupted(
    server: Server,
) -> None:
    command = "examples/websocket_optimization_client.py", "--monitor", "--every", "0.5"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", AS_IN_A_TERMINAL, *command, "--url", server.ws_url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as monitor:
        assert monitor.stdout is not None
        timer = Timer(PATIENCE, monitor.kill)
        timer.start()
        wanted = Counter({"now": 2, "prices": 1})
        for line in monitor.stdout:
            wanted -= Counter(line.split()[:1])
            if not wanted:
                break
        monitor.send_signal(signal.SIGINT)
        monitor.communicate()
        timer.cancel()
    assert not wanted
    assert monitor.returncode == 0


async def test_heartbeats_are_sent_by_themselves(server: Server) -> None:
    async with OptimizationClient(server.ws_url, heartbeat_seconds=0.05) as client:
        await client.optimize(["AAPL", "KO"], "minimize_variance")


async def test_what_was_missed_comes_though_the_server_could_not_look_at_first(
    fragile: Server,
) -> None:
    """Redis fails in the middle of the resumption, and newer results come before the next one."""
    heard: asyncio.Queue[Frame] = asyncio.Queue()
    with proxying(fragile.tcp_address) as proxy:
        url = f"ws://127.0.0.1:{proxy.port}/ws"
        async with OptimizationClient(url, heard.put_nowait) as client, asyncio.timeout(PATIENCE):
            await client.subscribe("portfolio_updates")
            first = await client.optimize(["AAPL", "KO"], "minimize_variance")
            lineage = f"lineage:local:{first['client_id']}"
            fragile.redis_set(lineage, "no set of ids")
            proxy.reset()
            async with fragile.connect() as other:
                missed = (await optimise(other, symbols=["JPM", "XOM"]))["data"]["request_id"]
            while (frame := await heard.get()).get("request_id") != "resume":
                pass
            assert frame["data"]["code"] == "service_unavailable"
            await client.optimize(["PG", "MSFT"], "minimize_variance")
            fragile.redis_delete(lineage)
            while (frame := await heard.get())["data"].get("request_id") != missed:
                pass


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
