"""The consumer with the real channel layer: frames, order, errors, resuming, and who sees what."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client as Browser
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.redis_client import redis_key
from optimization.models import OptimizationRequest
from optimization.queue.lanes import Lane
from streaming.fanout.hub import hub
from streaming.fanout.lineage import MAX_IDS
from tests.streaming.conftest import Client, communicator
from tests.working import run_next

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("market", "redis_server", "fan_out"),
]

Open = Callable[..., AbstractAsyncContextManager[Client]]
Json = dict[str, Any]

run = sync_to_async(run_next)


def asked(**changes: Any) -> Json:
    parameters = {"lookback": 252}
    return {
        "symbols": ["AAPL", "KO"],
        "objective": "minimize_variance",
        "parameters": parameters,
    } | changes


def kind(frame: Json) -> str:
    return str(frame["data"].get("type", frame["type"]))


def signed_in(name: str) -> dict[str, str]:
    """Headers of a browser in which a user has signed in."""
    user = User.objects.create_user(name, password="correct horse")
    browser = Browser()
    browser.force_login(user)
    return {
        "Cookie": f"sessionid={browser.cookies['sessionid'].value}",
        "Origin": "http://localhost",
    }


sign_in = sync_to_async(signed_in)


async def test_a_client_is_greeted_first(opened: Open) -> None:
    async with opened() as client:
        data = client.greeting["data"]
        assert client.greeting["type"] == "connection_status"
        assert data["status"] == "connected"
        assert data["client_id"] == client.greeting["client_id"]
        assert data["user"] is None
        assert data["limits"]["max_queue_size"] == 100


async def test_a_request_is_queued_started_and_answered_in_this_order(opened: Open) -> None:
    async with opened() as client:
        queued = await client.ask("optimization_request", asked(), request_id="mine")
        await run(Lane.CONVEX)
        frames = await client.until(lambda frame: kind(frame) == "optimization_result")
        kinds = [kind(queued), *map(kind, frames)]
        assert kinds == ["optimization_queued", "optimization_started", "optimization_result"]
        assert {frame["request_id"] for frame in [queued, *frames]} == {"mine"}
        assert {frame["client_id"] for frame in frames} == {client.greeting["client_id"]}
        assert await client.silent() == []


async def test_each_request_of_one_client_gets_its_own_end(opened: Open) -> None:
    async with opened() as client:
        for number in range(5):
            await client.send("optimization_request", asked(), request_id=f"n{number}")
        queued = [await client.next() for _ in range(5)]
        assert [frame["data"]["queue_position"] for frame in queued] == [1, 2, 3, 4, 5]
        for _ in range(5):
            await run(Lane.CONVEX)
        ends = [
            (await client.until(lambda f: kind(f) == "optimization_result"))[-1] for _ in range(5)
        ]
        assert [frame["request_id"] for frame in ends] == [f"n{n}" for n in range(5)]
        assert await client.silent() == []


async def test_a_bad_frame_is_answered_and_the_connection_lives(opened: Open) -> None:
    async with opened() as client:
        for text in ("nonsense", "[]", '{"type":"launch"}', '{"type":"subscribe"}'):
            await client.send_text(text)
            assert (await client.next())["type"] == "error"
        await client.send_bytes(b"\x00\x01")
        assert (await client.next())["data"]["code"] == "invalid_message"
        assert (await client.ask("heartbeat"))["data"]["status"] == "alive"


@pytest.mark.parametrize(
    ("changes", "sentence", "code", "field"),
    [
        ({"symbols": []}, "Invalid optimization request", "invalid_request", "symbols"),
        (
            {"symbols": ["AAPL", "AAPL"]},
            "Invalid optimization request",
            "invalid_request",
            "symbols[0]",
        ),
        (
            {"symbols": ["AAPL", "NOPE"]},
            "Unable to retrieve market data",
            "unknown_symbol",
            "symbols[1]",
        ),
        (
            {"parameters": {"lookback": 5000}},
            "Unable to retrieve market data",
            "market_data_unavailable",
            "symbols[0]",
        ),
        (
            {"constraints": {"max_weight": 0.3}},
            "Invalid optimization request",
            "infeasible",
            "constraints.max_weight",
        ),
        (
            {"constraints": {"min_weight": 0.6}},
            "Invalid optimization request",
            "infeasible",
            "constraints.min_weight",
        ),
        (
            {
                "objective": "maximize_sharpe",
                "parameters": {"lookback": 252, "risk_free_rate": 9.0},
            },
            "Invalid optimization request",
            "no_excess_return",
            "objective",
        ),
        (
            {"symbols": [f"S{i}" for i in range(5000)]},
            "Invalid optimization request",
            "invalid_request",
            "symbols",
        ),
    ],
)
async def test_a_request_without_an_answer_is_refused_and_nothing_is_queued(
    opened: Open, changes: Json, sentence: str, code: str, field: str
) -> None:
    async with opened() as client:
        frame = await client.ask("optimization_request", asked(**changes), request_id="mine")
        assert frame["type"] == "error"
        assert frame["request_id"] == "mine"
        data = frame["data"]
        assert (data["error"], data["code"], data["fields"][0]) == (sentence, code, field)
        assert (data["retry"], data["request_id"]) == (False, None)
        assert not await OptimizationRequest.objects.aexists()
        assert (await client.ask("heartbeat"))["type"] == "heartbeat"


async def test_topics_are_confirmed_and_unknown_ones_refused(opened: Open) -> None:
    async with opened() as client:
        for word in ("subscribe", "unsubscribe"):
            frame = await client.ask(word, {"topic": "risk_alerts"}, request_id="r")
            assert (frame["type"], frame["request_id"]) == (word, "r")
            assert frame["data"] == {"topic": "risk_alerts", "status": f"{word}d"}
        error = (await client.ask("subscribe", {"topic": "weather"}))["data"]
        assert (error["code"], error["fields"]) == ("unknown_topic", ["topic"])


async def test_a_waiting_request_is_cancelled_with_one_end(opened: Open) -> None:
    async with opened() as client:
        queued = await client.ask("optimization_request", asked())
        name = {"request_id": queued["data"]["request_id"]}
        frame = await client.ask("optimization_cancel", name)
        assert kind(frame) == "optimization_cancelled"
        assert await run(Lane.CONVEX) is None
        error = (await client.ask("optimization_cancel", name))["data"]
        assert error["code"] == "already_finished"
        assert await client.silent() == []


async def test_the_same_key_again_is_answered_with_the_end_it_had(opened: Open) -> None:
    async with opened() as client:
        await client.ask("optimization_request", asked(), request_id="mine")
        await run(Lane.CONVEX)
        first = (await client.until(lambda f: kind(f) == "optimization_result"))[-1]
        again = await client.ask("optimization_request", asked(), request_id="mine")
        assert again["data"] == first["data"]
        other = asked(objective="maximize_return")
        error = (await client.ask("optimization_request", other, request_id="mine"))["data"]
        assert error["code"] == "idempotency_conflict"


async def test_the_same_key_from_a_new_connection_hears_the_end(opened: Open) -> None:
    async with opened() as lost:
        await lost.ask("optimization_request", asked(), request_id="mine")
    async with opened() as client:
        queued = await client.ask("optimization_request", asked(), request_id="mine")
        assert kind(queued) == "optimization_queued"
        await run(Lane.CONVEX)
        heard = await client.until(lambda f: kind(f) == "optimization_result")
        assert heard[-1]["request_id"] == "mine"
        assert [f for f in await client.silent() if kind(f) == "optimization_result"] == []


async def test_a_client_that_resumes_gets_what_it_missed_once(opened: Open) -> None:
    async with opened() as lost:
        place = {name: lost.greeting["data"][name] for name in ("epoch", "seq", "client_id")}
        queued = await lost.ask("optimization_request", asked())
    await run(Lane.CONVEX)
    async with opened() as client:
        if not place["epoch"]:
            place["epoch"] = client.greeting["data"]["epoch"]
        await client.send("resume", place)
        frames = await client.until(lambda frame: frame["type"] == "resume")
        assert frames[-1]["data"]["recovered"] is True
        assert [kind(frame) for frame in frames[:-1]] == ["optimization_result"]
        assert frames[0]["data"]["request_id"] == queued["data"]["request_id"]
        assert await client.silent() == []


async def test_what_ends_between_reconnecting_and_resuming_is_not_lost(opened: Open) -> None:
    async with opened() as first:
        await first.ask("optimization_request", asked())
        await run(Lane.CONVEX)
        seen = (await first.until(lambda f: kind(f) == "optimization_result"))[-1]
        place = {"client_id": seen["client_id"], "epoch": seen["epoch"], "seq": seen["seq"]}
        second = await first.ask("optimization_request", asked())
    async with opened() as client:
        await run(Lane.CONVEX)
        assert await client.silent() == []
        await client.send("resume", place)
        frames = await client.until(lambda frame: frame["type"] == "resume")
        frames += await client.silent()
        told = [f["data"]["request_id"] for f in frames if kind(f) == "optimization_result"]
        assert told == [second["data"]["request_id"]]


async def test_a_resumption_that_failed_lets_nothing_overtake_what_was_missed(
    opened: Open, redis_server: Redis
) -> None:
    """Redis fails in its middle; the next one must still begin where the lost connection ended."""
    async with opened() as lost:
        place = {name: lost.greeting["data"][name] for name in ("epoch", "seq", "client_id")}
        first = await lost.ask("optimization_request", asked())
        second = await lost.ask("optimization_request", asked(objective="maximize_return"))
    await run(Lane.CONVEX)
    async with opened() as client:
        place["epoch"] = client.greeting["data"]["epoch"]
        resumption = {**place, "topics": ["portfolio_updates"]}
        lineage = redis_key("lineage", "local", place["client_id"])
        redis_server.set(lineage, "no set of ids")
        error = (await client.ask("resume", resumption))["data"]
        assert (error["code"], error["retry"]) == ("service_unavailable", True)
        await run(Lane.CONVEX)
        assert await client.silent() == []
        redis_server.delete(lineage)
        await client.send("resume", resumption)
        frames = await client.until(lambda frame: frame["type"] == "resume")
        told = [f["data"]["request_id"] for f in frames if kind(f) == "optimization_result"]
        assert told == [queued["data"]["request_id"] for queued in (first, second)]
        assert await client.silent() == []


async def test_resuming_in_another_epoch_says_that_frames_are_lost(opened: Open) -> None:
    async with opened() as client:
        place = {"epoch": "another", "seq": 0, "client_id": "client0"}
        data = (await client.ask("resume", place))["data"]
        assert (data["recovered"], data["replayed"]) == (False, 0)


async def test_a_client_that_resumes_again_and_again_is_remembered_within_a_bound(
    opened: Open,
) -> None:
    async with opened() as client:
        for number in range(MAX_IDS + 20):
            place = {"epoch": "another", "seq": 0, "client_id": f"client{number}"}
            await client.ask("resume", place)
        (connection,) = hub().connections
        assert connection.client_id in connection.ids
        assert len(connection.ids) == MAX_IDS


async def test_too_many_messages_are_refused_and_not_fatal(
    opened: Open, settings: Settings
) -> None:
    settings.MAX_MESSAGES_PER_SECOND = 1
    async with opened() as client:
        for _ in range(12):
            await client.send("heartbeat")
        frames = [await client.next() for _ in range(12)]
        refused = [frame["data"] for frame in frames if frame["type"] == "error"]
        assert {data["error"] for data in refused} == {"Too many messages"}
        assert refused[0]["retry"] is True
        assert "1 messages per second" in refused[0]["detail"]


@pytest.mark.parametrize("local", [True, False])
async def test_a_page_of_another_origin_is_refused(settings: Settings, local: bool) -> None:
    settings.LOCAL_MODE = local
    headers = {"Host": "localhost", **await sign_in("eve"), "Origin": "http://evil.example"}
    accepted, _ = await communicator(headers).connect()
    assert not accepted


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost"}])
async def test_nobody_is_served_outside_local_mode_before_signing_in(
    settings: Settings, headers: dict[str, str]
) -> None:
    settings.LOCAL_MODE = False
    stranger = communicator({"Host": "localhost", **headers})
    accepted, _ = await stranger.connect()
    if accepted:
        await stranger.send_json_to({"type": "optimization_request", "data": asked()})
        answer = await stranger.receive_output()
        if answer["type"] == "websocket.send":
            data = json.loads(answer["text"])["data"]
            assert (data["code"], data["error"]) == ("unauthenticated", "Not signed in")
        else:
            assert (answer["type"], answer["code"]) == ("websocket.close", 4401)
        await stranger.disconnect()
    assert not await OptimizationRequest.objects.aexists()


@pytest.fixture
def strict(settings: Settings) -> None:
    settings.LOCAL_MODE = False


async def test_a_signed_in_browser_is_welcome_by_name(opened: Open, strict: None) -> None:
    async with opened(**await sign_in("ada")) as client:
        assert client.greeting["data"]["user"] == "ada"


async def test_no_user_sees_cancels_or_replays_what_is_anothers(
    opened: Open, strict: None, redis_server: Redis
) -> None:
    async with (
        opened(**await sign_in("ada")) as ada,
        opened(**await sign_in("bob")) as bob,
    ):
        for client in (ada, bob):
            await client.ask("subscribe", {"topic": "portfolio_updates"})
        queued = await ada.ask("optimization_request", asked(), request_id="shared key")
        name = queued["data"]["request_id"]
        error = (await bob.ask("optimization_cancel", {"request_id": name}))["data"]
        assert (error["code"], error["request_id"]) == ("unknown_request", None)
        await run(Lane.CONVEX)
        ends = await ada.until(lambda frame: kind(frame) == "optimization_result")
        assert await bob.silent() == []
        place = {"client_id": ada.greeting["client_id"], "epoch": ends[-1]["epoch"], "seq": 0}
        await bob.send("resume", place)
        replayed = await bob.until(lambda frame: frame["type"] == "resume")
        assert len(replayed) == 1
        # The same key is another request for another user.
        own = asked(objective="maximize_return")
        mine = await bob.ask("optimization_request", own, request_id="shared key")
        assert kind(mine) == "optimization_queued"
        await run(Lane.CONVEX)
        assert await ada.silent() == []
        told = [f["data"] for f in await bob.silent() if kind(f) == "optimization_result"]
        assert [data["request_id"] for data in told] == [mine["data"]["request_id"]]
        assert json.dumps(told).count("shared key") == 0


async def test_one_users_connections_share_what_they_subscribed_to(
    opened: Open, strict: None
) -> None:
    headers = await sign_in("ada")
    async with opened(**headers) as desk, opened(**headers) as wall, opened(**headers) as idle:
        await wall.ask("subscribe", {"topic": "portfolio_updates"})
        await desk.ask("optimization_request", asked())
        await run(Lane.CONVEX)
        await desk.until(lambda frame: kind(frame) == "optimization_result")
        heard = await wall.until(lambda frame: kind(frame) == "optimization_result")
        assert heard[-1]["data"]["client_id"] == desk.greeting["client_id"]
        assert await idle.silent() == []
