"""One request followed through the logs of every process that handled it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.client import ask, kind, optimise, receive, until
from tests.e2e.harness import Server, data_folder, serving, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that logs as in production."""
    with (
        data_folder() as folder,
        serving(
            folder, FEED="simulated", FEED_RATE="5", LOG_FORMAT="json", OPTIMIZATION_INTERVAL="0"
        ) as server,
    ):
        server.wait_ready()
        yield server


def lines(server: Server, process: str, request_id: str) -> list[dict[str, Any]]:
    """What a process logged about a request; each of its lines is JSON."""
    text = (server.data_dir / "log" / f"{process}.log").read_text()
    documents = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in documents if line.get("request_id") == request_id]


def events(server: Server, process: str, request_id: str) -> list[str]:
    return [line["event"] for line in lines(server, process, request_id)]


async def test_a_request_has_the_same_id_in_the_web_process_and_the_worker(
    server: Server,
) -> None:
    async with server.connect() as socket:
        client_id = (await receive(socket))["client_id"]
        end = await optimise(socket)
    request_id = end["data"]["request_id"]
    wait_until(lambda: events(server, "worker-convex", request_id) != [])
    assert events(server, "worker-convex", request_id) == ["ended: succeeded, attempt 1"]
    (admitted,) = lines(server, "web-1", request_id)
    assert admitted["event"].startswith("admitted to the convex lane, place 1")
    assert admitted["client_id"] == client_id
    assert admitted["process"] == "web"


async def test_what_a_trigger_asked_for_has_the_same_id_in_the_feed_and_the_worker(
    server: Server,
) -> None:
    triggers = [{"kind": "time_based", "interval": 1}]
    async with server.connect() as socket:
        await ask(socket, {"type": "subscribe", "data": {"topic": "portfolio_updates"}})
        order = {"name": "Clock", "symbols": ["KO", "PEP"], "triggers": triggers}
        assert (await ask(socket, {"type": "watch", "data": order}))["type"] == "watch"
        ended = await until(
            socket,
            lambda f: (
                kind(f) == "optimization_result"
                and f["data"]["trigger"] == "time_based"
                and not f["data"].get("cached")
            ),
        )
    request_id = ended[-1]["data"]["request_id"]
    # The result may be here before the feed has written down what it asked for.
    wait_until(lambda: lines(server, "feed", request_id) != [])
    (admitted,) = lines(server, "feed", request_id)
    assert admitted["event"].startswith("admitted to the convex lane")
    assert admitted["process"] == "run_feed simulated"
    wait_until(lambda: "ended: succeeded, attempt 1" in events(server, "worker-convex", request_id))
