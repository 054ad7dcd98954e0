"""What an intruder would try, on the wire, over REST and in the admin; nothing of it works."""

import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings
from redis import Redis

from optimization.models import OptimizationRequest, Portfolio, Status
from optimization.watching.expressions import Expression, ExpressionError
from streaming.access.credentials import Credential
from streaming.access.quota import Quota
from streaming.access.tokens import TokenOrder, token_create
from streaming.fanout import history
from streaming.fanout.delivery import Address
from streaming.fanout.publish import publish_durable, publish_ephemeral
from streaming.models import Scope
from streaming.protocol import CloseCode, ServerMessage, Topic, UnwatchedData, server_frame
from streaming.rest.throttling import RestThrottle
from tests.streaming.wire_client import ORIGIN, WireClient, connecting, wire

pytestmark = pytest.mark.usefixtures("redis_server", "market", "transactional_db", "running")

REQUESTS = "/api/v1/optimizations/"
PORTFOLIOS = "/api/v1/portfolios/"
CONTENT = {"symbols": ["AAPL", "KO"], "parameters": {"lookback": 252}}


@pytest.fixture(autouse=True)
def desk(settings: Settings) -> None:
    settings.LOCAL_MODE = False
    settings.ALLOWED_HOSTS = ["desk.example", "testserver"]
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
async def running() -> AsyncIterator[None]:
    async with wire():
        yield


@sync_to_async
def key_of(name: str) -> dict[str, str]:
    """The headers of a user's program."""
    user, _ = User.objects.get_or_create(username=name)
    _, text = token_create(TokenOrder(user, "robot", Scope.TRADE))
    return {"authorization": f"Bearer {text}"}


@sync_to_async
def rest(method: str, address: str, headers: dict[str, str], content: Any = None) -> Any:
    body = b"" if content is None else json.dumps(content).encode()
    return Client().generic(method, address, body, "application/json", headers=headers)


@sync_to_async
def tell(name: str, text: str, client_id: str, **address: Any) -> None:
    """Tell a user something, durably unless ``durable`` says otherwise."""
    owner = Credential.of_user(User.objects.get(username=name), None).owner
    publish = publish_durable if address.pop("durable", True) else publish_ephemeral
    topic = address.pop("topic", Topic.PORTFOLIO_UPDATES)
    frame = server_frame(ServerMessage.UNWATCH, UnwatchedData(portfolio_id=text))
    publish(Address(owner=owner.key, topic=topic, client_id=client_id, **address), frame)


async def tell_ann(**address: Any) -> None:
    await tell("ann", "ann's secret", "clientof-ann", **address)


async def overheard(client: WireClient) -> list[dict[str, Any]]:
    """All that bob's client hears before a frame that was sent to it last."""
    client_id = (await client.ask("heartbeat"))["client_id"]
    await tell("bob", "bob's own", client_id, durable=False)
    frames: list[dict[str, Any]] = []
    while (frame := await client.receive())["data"].get("portfolio_id") != "bob's own":
        frames.append(frame)
    return frames


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("origin", [b"https://evil.example", b"null", b"https://desk.example:1"])
async def test_a_wrong_origin_is_refused_whatever_it_shows(
    settings: Settings, local: bool, origin: bytes
) -> None:
    key = await key_of("ann")
    settings.LOCAL_MODE = local
    async with connecting(origin=origin, headers=key) as (accepted, _, _):
        assert not accepted
    answer = await rest("POST", REQUESTS, {**key, "origin": origin.decode()}, CONTENT)
    assert answer.status_code == 403


async def test_a_session_without_an_origin_opens_nothing() -> None:
    page = Client()
    user = await sync_to_async(User.objects.create_user)("ann")
    await sync_to_async(page.force_login)(user)
    cookie = {"cookie": f"sessionid={page.cookies['sessionid'].value}"}
    async with connecting(origin=ORIGIN, headers=cookie) as (_, _, client):
        assert (await client.receive())["data"]["user"] == "ann"
    async with connecting(headers=cookie) as (_, _, client):
        answer = await client.ask("subscribe", {"topic": "portfolio_updates"})
        assert answer["data"]["code"] == "unauthenticated"


async def test_a_stranger_is_told_nothing_and_closed_after_a_few_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What closes it is not that its time ran out.
    monkeypatch.setattr("streaming.consumers.AUTH_SECONDS", 600.0)
    async with connecting() as (_, _, client):
        for _ in range(20):
            answer = await client.ask("optimization_request", CONTENT)
            assert answer["data"]["code"] == "unauthenticated"
        assert await client.close_code() == CloseCode.UNAUTHENTICATED
    assert not await OptimizationRequest.objects.aexists()


async def test_another_users_request_is_as_unknown_as_one_that_never_was() -> None:
    ann, bob = await key_of("ann"), await key_of("bob")
    document = (await rest("POST", REQUESTS, ann, CONTENT)).json()
    request_id = document["request_id"]
    async with connecting(headers=bob) as (_, _, client):
        await client.receive()
        details = []
        for wanted in (request_id, "opt_never_was"):
            answer = await client.ask("optimization_cancel", {"request_id": wanted})
            assert answer["data"]["code"] == "unknown_request"
            details.append(answer["data"]["detail"].replace(wanted, ""))
        assert details[0] == details[1]
        assert await overheard(client) == []
    for method, tail in (("GET", ""), ("POST", "cancel/")):
        answer = await rest(method, f"{REQUESTS}{request_id}/{tail}", bob)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_request")
    assert (await rest("GET", REQUESTS, bob)).json()["results"] == []
    assert (await rest("GET", f"{REQUESTS}?search={request_id}", bob)).json()["results"] == []
    row = await OptimizationRequest.objects.aget()
    assert row.status == Status.QUEUED


async def test_another_users_idempotency_key_gives_nothing_away() -> None:
    ann, bob = await key_of("ann"), await key_of("bob")
    first = await rest("POST", REQUESTS, {**ann, "idempotency-key": "a"}, CONTENT)
    second = await rest("POST", REQUESTS, {**bob, "idempotency-key": "a"}, CONTENT)
    assert first.status_code == second.status_code == 202
    assert first.json()["request_id"] != second.json()["request_id"]


async def test_another_users_portfolio_is_not_heard_read_or_ended() -> None:
    ann, bob = await key_of("ann"), await key_of("bob")
    made = (await rest("POST", PORTFOLIOS, ann, CONTENT)).json()
    portfolio_id = made["portfolio_id"]
    async with connecting(headers=bob) as (_, _, client):
        await client.receive()
        answer = await client.ask("unwatch", {"portfolio_id": portfolio_id})
        assert answer["data"]["code"] == "unknown_portfolio"
        for topic in (Topic.PORTFOLIO_UPDATES, Topic.RISK_ALERTS):
            await client.ask("subscribe", {"topic": f"{topic}:{portfolio_id}"})
            await client.ask("subscribe", {"topic": topic})
            for durable in (True, False):
                await tell_ann(topic=topic, subject=portfolio_id, durable=durable)
        assert await overheard(client) == []
    for method in ("GET", "DELETE"):
        answer = await rest(method, f"{PORTFOLIOS}{portfolio_id}/", bob)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_portfolio")
    assert (await rest("GET", PORTFOLIOS, bob)).json()["results"] == []
    assert await Portfolio.objects.filter(active=True).aexists()


async def test_resuming_as_another_users_lost_client_replays_nothing_of_it(
    redis_server: Redis,
) -> None:
    ann, bob = await key_of("ann"), await key_of("bob")
    async with connecting(headers=ann) as (_, _, lost):
        await lost.receive()
        for _ in range(3):
            await tell_ann()
    epoch: Any = await sync_to_async(redis_server.get)(history.epoch_key())
    async with connecting(headers=bob) as (_, _, client):
        await client.receive()
        for seq in (0, 1, 3, 2**62):
            place = {"epoch": epoch.decode(), "seq": seq, "client_id": "clientof-ann"}
            answer = await client.ask("resume", place)
            assert answer["data"]["replayed"] == 0
        await tell_ann(durable=False)
        assert await overheard(client) == []


TRICKS = (
    *("user:1", "owner.user.1", "prices", "*", "portfolio_updates:", "portfolio_updates ", ""),
    *("qe:layer:__group__owner.user.1", "__group__prices", "specific.x!y", "../prices", "\x00"),
    *("PORTFOLIO_UPDATES", "portfolio_updates\n", "portfolio_updates.user.1", "x" * 101),
)
SUBJECTS = ("*", "user:1", "owner.user.1", "../..", "a b", "\u202e", "' OR 1=1 --", "__group__x")


async def test_no_name_of_a_topic_or_portfolio_reaches_anybody_elses_group() -> None:
    await key_of("ann")
    async with connecting(headers=await key_of("bob")) as (_, _, client):
        await client.receive()
        for topic in TRICKS:
            answer = await client.ask("subscribe", {"topic": topic})
            assert answer["data"]["code"] in {"unknown_topic", "invalid_message"}, topic
        for subject in SUBJECTS:
            await client.ask("subscribe", {"topic": f"portfolio_updates:{subject}"})
            answer = await client.ask("unwatch", {"portfolio_id": subject})
            assert answer["data"]["code"] == "unknown_portfolio", subject
        await tell_ann()
        await tell_ann(subject="*", durable=False)
        assert await overheard(client) == []


@sync_to_async
def admin_page(user: User, address: str, content: dict[str, Any] | None = None) -> Any:
    client = Client()
    client.force_login(user)
    return client.post(address, content) if content else client.get(address)


async def test_the_admin_is_closed_to_users_and_to_staff_without_permission() -> None:
    ann = await key_of("ann")
    await rest("POST", REQUESTS, ann, CONTENT)
    row = await OptimizationRequest.objects.aget()
    pages = "/admin/optimization/optimizationrequest/"
    cancel = {"action": "cancel", "_selected_action": [row.pk]}
    bob = await sync_to_async(User.objects.create_user)("bob")
    staff = await sync_to_async(User.objects.create_user)("staff", is_staff=True)
    models = [f"/admin/{m._meta.app_label}/{m._meta.model_name}/" for m in site._registry]
    assert pages in models
    for user, status in ((bob, 302), (staff, 403)):
        for address in (*models, f"{pages}{row.pk}/change/", f"{pages}{row.pk}/history/"):
            assert (await admin_page(user, address)).status_code == status, address
        assert (await admin_page(user, pages, cancel)).status_code == status
    await row.arefresh_from_db()
    assert row.status == Status.QUEUED


BOMBS = (
    *("9**9**9**9 > 1", "(" * 240 + "cvar" + ")" * 240 + " > 1", "-" * 400 + "cvar > 1"),
    *("not " * 120 + "cvar > 1", "cvar > 1" + " and cvar > 1" * 36, "1" * 490 + " > cvar"),
    *("__import__('os').system('true')", "cvar.__class__ > 1", "[x for x in cvar]"),
    *(
        "(lambda: 1)() > 0",
        "cvar if cvar else 1",
        "'a' * 999999999 > 'b'",
        "cvar := 1",
        "1e999 > x",
    ),
    *("cvar > 1\x00", "f'{cvar}' > 1", "cvar > 1; cvar", "a" * 501, "cvar > 0." + "1" * 492),
)


@pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
async def test_an_expression_bomb_is_refused_before_it_is_kept(bomb: str) -> None:
    order = {**CONTENT, "triggers": [{"kind": "custom", "expression": bomb}]}
    async with connecting(headers=await key_of("bob")) as (_, _, client):
        await client.receive()
        answer = await client.ask("watch", order)
        assert answer["type"] == "error"
        assert answer["data"]["code"] in {"invalid_request", "invalid_message"}
    with pytest.raises(ExpressionError):
        Expression(bomb, ["cvar"])
    assert not await Portfolio.objects.aexists()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
async def test_a_compressed_body_is_refused_and_never_unfolded(encoding: str) -> None:
    key = await key_of("bob")
    bomb = gzip.compress(b" " * 50_000_000)

    def post() -> Any:
        tracemalloc.start()
        headers = {**key, "content-encoding": encoding}
        answer = Client().post(REQUESTS, bomb, content_type="application/json", headers=headers)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return answer, peak

    answer, peak = await sync_to_async(post)()
    assert answer.status_code == 415
    assert peak < 40_000_000


async def test_a_flood_is_told_to_slow_down_and_then_closed_with_4430(settings: Settings) -> None:
    settings.MAX_MESSAGES_PER_SECOND = 2
    async with connecting(headers=await key_of("bob")) as (_, _, client):
        await client.receive()
        for _ in range(42):
            await client.send("heartbeat")
        frames = [await client.receive() for _ in range(21)]
        assert [frame["type"] for frame in frames] == ["heartbeat"] * 20 + ["error"]
        assert frames[-1]["data"]["code"] == "rate_limited"
        assert await client.close_code() == CloseCode.TOO_MANY_MESSAGES


async def test_connections_are_counted_over_all_processes_and_forgotten_with_them(
    settings: Settings,
) -> None:
    settings.MAX_CONNECTIONS_PER_USER = 2
    bob = await key_of("bob")
    user = await User.objects.aget(username="bob")
    other_process = Quota()
    assert await other_process.admit(f"user:{user.pk}", "client-there", 2)
    async with connecting(headers=bob) as (_, _, first):
        assert (await first.receive())["type"] == "connection_status"
        async with connecting(headers=bob) as (_, _, second):
            refusal = await second.receive()
            assert "MAX_CONNECTIONS_PER_USER" in refusal["data"]["detail"]
            assert await second.close_code() == CloseCode.TOO_MANY_CONNECTIONS
        async with connecting(headers=await key_of("ann")) as (_, _, third):
            assert (await third.receive())["type"] == "connection_status"
    await other_process.release(f"user:{user.pk}", "client-there")
    await other_process.close()
    async with connecting(headers=bob) as (_, _, fourth):
        assert (await fourth.receive())["type"] == "connection_status"


async def test_strangers_of_one_address_are_bounded_and_its_users_still_get_in(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MAX_STRANGERS_PER_ADDRESS = 1
    # The first stranger stays one, however slowly a busy machine goes on.
    monkeypatch.setattr("streaming.consumers.AUTH_SECONDS", 600.0)
    async with connecting() as (accepted, _, _):
        assert accepted
        async with connecting() as (_, _, second):
            refusal = await second.receive()
            assert "MAX_STRANGERS_PER_ADDRESS" in refusal["data"]["detail"]
            assert await second.close_code() == CloseCode.TOO_MANY_CONNECTIONS
        async with connecting(headers=await key_of("ann")) as (_, _, third):
            assert (await third.receive())["type"] == "connection_status"


async def test_rest_is_bounded_per_user_and_says_when_to_come_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MAX_REST_REQUESTS_PER_SECOND = 1
    now = [1_700_000_004.0]
    monkeypatch.setattr(RestThrottle, "clock", lambda _self: now[0])
    ann, bob = await key_of("ann"), await key_of("bob")
    answers = [await rest("GET", REQUESTS, bob) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert answers[-1].json()["code"] == "rate_limited"
    assert answers[-1]["Retry-After"] == "6"
    assert (await rest("GET", REQUESTS, ann)).status_code == 200
    now[0] += 6
    assert (await rest("GET", REQUESTS, bob)).status_code == 200


async def test_what_others_listen_to_is_told_to_operators_only() -> None:
    ann, bob = await key_of("ann"), await key_of("bob")
    made = (await rest("POST", PORTFOLIOS, ann, CONTENT)).json()
    own = f"risk_alerts:{made['portfolio_id']}"
    async with connecting(headers=ann) as (_, _, client):
        client_id = (await client.receive())["client_id"]
        for topic in ("portfolio_updates", own):
            assert (await client.ask("subscribe", {"topic": topic}))["type"] == "subscribe"
        # Frames are handled one after the other: what was subscribed to is now known everywhere.
        await client.ask("unwatch", {"portfolio_id": "none"})
        seen = {}
        for name, headers in (("ann", ann), ("bob", bob), ("staff", await key_of("staff"))):
            await User.objects.filter(username="staff").aupdate(is_staff=True)
            answer = await rest("GET", "/api/v1/streaming/status", headers)
            seen[name] = answer.json()["websocket_connections"]
    for name in ("ann", "staff"):
        assert seen[name]["topics"] == ["portfolio_updates", own]
        assert seen[name]["clients"] == [client_id]
    assert seen["bob"]["topics"] == ["portfolio_updates"]
    assert seen["bob"]["clients"] == []
    assert seen["bob"]["total_connections"] == 1
