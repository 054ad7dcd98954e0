"""What somebody sees who starts the server and only subscribes."""

import asyncio

import pytest

from tests.e2e.client import Frame, ask, is_end, kind, receive, request, send, until
from tests.e2e.harness import PATIENCE, Server

pytestmark = pytest.mark.e2e


def is_automatic(frame: Frame) -> bool:
    return kind(frame) == "optimization_result" and frame["data"]["trigger"] == "price_change"


async def test_who_only_subscribes_sees_prices_and_a_portfolio_optimised_because_of_them(
    server: Server,
) -> None:
    async with server.connect() as socket:
        await receive(socket)
        for topic in ("price_updates", "portfolio_updates"):
            await ask(socket, {"type": "subscribe", "data": {"topic": topic}})
        frames = await until(socket, is_automatic)
    prices = [frame for frame in frames if frame["type"] == "price_update"]
    assert {"AAPL", "GOOGL", "MSFT"} <= prices[0]["data"]["prices"].keys()
    assert {point["source"] for point in prices[0]["data"]["prices"].values()} == {"simulated"}
    result = frames[-1]["data"]
    assert result["success"] is True
    assert max(result["weights"].values()) <= 0.4 + 1e-9
    noted = result["metadata"]["request_metadata"]
    assert noted["portfolio_name"].startswith("Sample: ")
    assert noted["because"]["quantity"] == "price_change"
    assert noted["because"]["value"] >= noted["because"]["limit"] == noted["rule"]["threshold"]


async def test_a_new_subscriber_is_told_the_newest_prices_at_once(server: Server) -> None:
    async with server.connect() as first, server.connect() as second:
        for socket in (first, second):
            await ask(socket, {"type": "subscribe", "data": {"topic": "price_updates"}})
        seen = (await until(first, lambda frame: frame["type"] == "price_update"))[-1]
        again = (await until(second, lambda frame: frame["type"] == "price_update"))[-1]
        assert seen["data"]["prices"].keys() == again["data"]["prices"].keys()


async def test_the_cache_serves_an_automatic_request_while_prices_hold_still(
    server: Server,
) -> None:
    async with server.connect() as socket:
        await receive(socket)
        results: list[Frame] = []
        # Between two ticks, a second apart, there is time for two requests.
        async with asyncio.timeout(PATIENCE):
            while not results or not results[-1]["data"]["cached"]:
                await send(socket, request(trigger="price_change", symbols=["KO", "PEP", "PG"]))
                results.append((await until(socket, is_end))[-1])
    *_, solved, served = results
    assert served["data"]["request_id"] != solved["data"]["request_id"]
    assert served["data"]["metadata"]["data_version"] == solved["data"]["metadata"]["data_version"]
    assert served["data"]["weights"].keys() == {"KO", "PEP", "PG"}
