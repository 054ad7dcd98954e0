"""API tokens: made, kept hashed, checked, listed, revoked; the doors that they open."""

import hashlib
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from streaming.access import handshake
from streaming.access.guard import guard
from streaming.access.tokens import TokenError, TokenOrder, token_check, token_create, token_revoke
from streaming.models import ApiToken, Scope
from streaming.protocol import CloseCode
from tests.streaming.wire_client import ORIGIN, WireClient, connecting, wire

pytestmark = pytest.mark.usefixtures("redis_server")

STATUS = "/api/v1/streaming/status"
REQUESTS = "/api/v1/optimizations/"


@pytest.fixture(autouse=True)
def desk(settings: Settings) -> None:
    settings.LOCAL_MODE = False
    settings.ALLOWED_HOSTS = ["desk.example", "testserver"]
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create_user("ann")


def issue(user: User, scope: Scope = Scope.TRADE, **life: float) -> tuple[ApiToken, str]:
    expires = timezone.now() + timedelta(**life) if life else None
    return token_create(TokenOrder(user, "robot", scope, expires))


def expire(token: ApiToken) -> None:
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def test_the_secret_is_256_bits_and_only_its_digest_is_kept(ann: User) -> None:
    token, text = issue(ann)
    _, prefix, secret = text.split("_", 2)
    row = ApiToken.objects.values().get()
    assert len(secret) == 43
    assert row["prefix"] == prefix
    assert row["digest"] == hashlib.sha256(secret.encode()).hexdigest()
    assert not any(secret in str(value) for value in row.values())
    assert token_check(text) == token


def test_a_forged_token_opens_nothing(ann: User) -> None:
    _, text = issue(ann)
    changed = text[:-1] + ("A" if text[-1] != "A" else "B")
    other_row = "qe_" + "0" * 12 + text[15:]
    shapes = ("", "qe__", "é" * 59, text[:-1], text + "A", text + "\n", " " + text, text.upper())
    for forged in (changed, other_row, *shapes):
        with pytest.raises(TokenError):
            token_check(forged)


def test_an_expired_a_revoked_and_a_disabled_users_token_open_nothing(ann: User) -> None:
    token, text = issue(ann, days=1)
    expire(token)
    with pytest.raises(TokenError, match="expired"):
        token_check(text)
    token, text = issue(ann)
    token_revoke(token)
    with pytest.raises(TokenError, match="revoked"):
        token_check(text)
    _, text = issue(ann)
    User.objects.update(is_active=False)
    with pytest.raises(TokenError, match="not known"):
        token_check(text)


def test_the_last_use_is_written_once_a_minute_at_most(
    ann: User, django_assert_num_queries: Any
) -> None:
    token, text = issue(ann)
    token_check(text)
    token.refresh_from_db()
    assert token.last_used_at is not None
    with django_assert_num_queries(1):
        token_check(text)


def test_an_order_that_makes_no_sense_is_refused(ann: User) -> None:
    with pytest.raises(TokenError, match="name"):
        TokenOrder(ann, " ")
    with pytest.raises(TokenError, match="past"):
        TokenOrder(ann, "robot", expires_at=timezone.now() - timedelta(days=1))


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("token", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_command_makes_lists_and_revokes(ann: User) -> None:
    text = run("create", "ann", "robot", "--scope", "trade", "--days", "2").strip()
    token = token_check(text)
    (listed,) = json.loads(run("list", "--json", "--user", "ann"))
    assert (listed["name"], listed["scope"], listed["standing"]) == ("robot", "trade", "valid")
    assert text not in json.dumps(listed)
    assert token.prefix in run("list")
    run("revoke", token.prefix)
    with pytest.raises(TokenError):
        token_check(text)
    assert json.loads(run("list", "--json"))[0]["standing"] == "revoked"
    assert json.loads(run("list", "--json", "--user", "bob")) == []


def test_the_command_answers_a_program_in_json(ann: User) -> None:
    made = json.loads(run("create", "ann", "robot", "--json"))
    assert token_check(made["token"]).prefix == made["prefix"]
    assert (made["scope"], made["standing"]) == ("read", "valid")
    ended = json.loads(run("revoke", made["prefix"], "--json"))
    assert (ended["prefix"], ended["standing"]) == (made["prefix"], "revoked")
    assert "token" not in ended


def test_the_command_says_what_it_cannot_do(ann: User) -> None:
    with pytest.raises(CommandError, match="no user 'bob'"):
        run("create", "bob", "robot")
    with pytest.raises(CommandError, match="no token"):
        run("revoke", "0" * 12)
    with pytest.raises(CommandError, match="past"):
        run("create", "ann", "robot", "--days", "-1")
    with pytest.raises(CommandError, match="--forever"):
        run("create", "ann", "robot", "--days", "1e12")


def operator(*permissions: str, superuser: bool = False) -> Client:
    user = User.objects.create_user("operator", is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def test_the_admin_shows_the_secret_once_and_revokes(ann: User) -> None:
    client = operator(superuser=True)
    content = {"name": "robot", "user": ann.pk, "scope": "trade"}
    page = client.post("/admin/streaming/apitoken/add/", content, follow=True).content.decode()
    text = next(word.split("<")[0] for word in page.split() if word.startswith("qe_"))
    token = token_check(text)
    assert token.user == ann
    secret = text.split("_", 2)[2]
    for address in ("", f"{token.pk}/change/", f"{token.pk}/history/"):
        page = client.get(f"/admin/streaming/apitoken/{address}").content.decode()
        assert "robot" in page
        assert secret not in page
    action = {"action": "revoke", "_selected_action": [token.pk]}
    client.post("/admin/streaming/apitoken/", action)
    with pytest.raises(TokenError, match="revoked"):
        token_check(text)


def test_an_operator_makes_no_key_to_another_account_and_sees_none(ann: User) -> None:
    client = operator("add_apitoken", "view_apitoken", "change_apitoken")
    content = {"name": "robot", "user": ann.pk, "scope": "trade"}
    answer = client.post("/admin/streaming/apitoken/add/", content)
    assert answer.status_code == 200
    assert not ApiToken.objects.exists()
    token, text = issue(ann)
    assert client.get(f"/admin/streaming/apitoken/{token.pk}/change/").status_code == 302
    action = {"action": "revoke", "_selected_action": [token.pk]}
    client.post("/admin/streaming/apitoken/", action)
    assert token_check(text).user.is_active


def test_whoever_may_only_look_revokes_nothing(ann: User) -> None:
    client = operator("view_apitoken")
    token, text = issue(User.objects.get(username="operator"))
    action = {"action": "revoke", "_selected_action": [token.pk]}
    client.post("/admin/streaming/apitoken/", action)
    assert token_check(text).user.is_active
    assert client.get("/admin/streaming/apitoken/add/").status_code == 403


def test_rest_takes_a_token_and_tells_who_has_none_what_to_bring(client: Client, ann: User) -> None:
    token, text = issue(ann)
    assert client.get(STATUS, headers=bearer(text)).status_code == 200
    answer = client.get(STATUS)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer realm="QuantumEdge"')
    token_revoke(token)
    answer = client.get(STATUS, headers=bearer(text))
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].endswith('error="invalid_token"')
    assert "revoked" in answer.json()["detail"]


def test_a_bad_token_is_refused_even_where_none_is_needed(
    client: Client, ann: User, settings: Settings
) -> None:
    settings.LOCAL_MODE = True
    assert client.get(STATUS).status_code == 200
    assert client.get(STATUS, headers=bearer("qe_nonsense")).status_code == 401


def test_a_read_token_reads_over_rest_and_changes_nothing(client: Client, ann: User) -> None:
    _, text = issue(ann, Scope.READ)
    assert client.get(REQUESTS, headers=bearer(text)).status_code == 200
    answer = client.post(
        REQUESTS, '{"symbols":["AAPL"]}', content_type="application/json", headers=bearer(text)
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "trade" in answer.json()["detail"]


@pytest.fixture
async def running(transactional_db: None) -> AsyncIterator[None]:
    async with wire():
        yield


async def made(**order: Any) -> tuple[ApiToken, str]:
    user = await User.objects.filter(username="ann").afirst()
    user = user or await sync_to_async(User.objects.create_user)("ann")
    return await sync_to_async(issue)(user, **order)


@pytest.mark.usefixtures("running")
async def test_a_token_in_the_header_opens_the_wire_to_a_program() -> None:
    _, text = await made()
    async with connecting(headers=bearer(text)) as (accepted, _, client):
        greeting = await client.receive()
        assert accepted
        assert (greeting["type"], greeting["data"]["user"]) == ("connection_status", "ann")
        assert (await client.ask("heartbeat"))["data"]["status"] == "alive"


@pytest.mark.usefixtures("running")
async def test_a_token_among_the_subprotocols_is_never_answered() -> None:
    _, text = await made()
    offered = ["quantumedge.v1", f"bearer.{text}"]
    async with connecting(origin=ORIGIN, subprotocols=offered) as (_, answered, client):
        assert answered == "quantumedge.v1"
        assert (await client.receive())["data"]["user"] == "ann"
    async with connecting(subprotocols=offered[1:]) as (_, answered, client):
        assert answered is None
        assert (await client.receive())["data"]["user"] == "ann"


@pytest.mark.usefixtures("running")
async def test_a_token_in_the_first_message_opens_the_wire() -> None:
    _, text = await made(days=1)
    async with connecting() as (_, _, client):
        refused = await client.ask("subscribe", {"topic": "price_updates"}, request_id="a")
        assert (refused["data"]["code"], refused["request_id"]) == ("unauthenticated", "a")
        refused = await client.ask("heartbeat")
        assert refused["data"]["code"] == "unauthenticated"
        await client.send("auth", {"token": text}, request_id="b")
        answer, greeting = await client.receive(), await client.receive()
        assert (answer["type"], answer["request_id"]) == ("auth", "b")
        assert answer["data"]["user"] == "ann"
        assert answer["data"]["scope"] == "trade"
        assert answer["data"]["expires_at"].endswith("Z")
        assert greeting["type"] == "connection_status"
        again = await client.ask("auth", {"token": text})
        assert again["data"]["code"] == "invalid_message"
        assert (await client.ask("heartbeat"))["type"] == "heartbeat"


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("door", ["header", "subprotocol", "message"])
@pytest.mark.parametrize("fault", ["forged", "expired", "revoked"])
async def test_a_token_that_opens_nothing_closes_with_4401(door: str, fault: str) -> None:
    token, text = await made()
    if fault == "revoked":
        await sync_to_async(token_revoke)(token)
    elif fault == "expired":
        await sync_to_async(expire)(token)
    else:
        text = text[:-1] + ("A" if text[-1] != "A" else "B")
    headers = bearer(text) if door == "header" else {}
    offered = ["quantumedge.v1", f"bearer.{text}"] if door == "subprotocol" else None
    async with connecting(subprotocols=offered, headers=headers) as (_, _, client):
        if door == "message":
            await client.send("auth", {"token": text})
        frame = await client.receive()
        assert frame["data"]["code"] == "unauthenticated"
        assert {"forged": "not known"}.get(fault, fault) in frame["data"]["detail"]
        assert await client.close_code() == CloseCode.UNAUTHENTICATED


@pytest.mark.usefixtures("running")
async def test_a_client_that_does_not_sign_in_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.consumers.AUTH_SECONDS", 0.05)
    assert handshake.AUTH_SECONDS == 5.0
    async with connecting() as (_, _, client):
        assert await client.close_code() == CloseCode.UNAUTHENTICATED


async def refused(client: WireClient, kind: str, data: dict[str, Any]) -> str:
    return str((await client.ask(kind, data))["data"].get("code"))


@pytest.mark.usefixtures("running")
async def test_a_read_token_hears_and_does_nothing() -> None:
    _, text = await made(scope=Scope.READ)
    symbols = {"symbols": ["AAPL", "KO"]}
    async with connecting(headers=bearer(text)) as (_, _, client):
        await client.receive()
        heard = await client.ask("subscribe", {"topic": "price_updates:AAPL"})
        assert heard["data"]["status"] == "subscribed"
        for kind, data in (
            ("optimization_request", symbols),
            ("frontier_request", symbols),
            ("optimization_cancel", {"request_id": "opt_x"}),
            ("watch", symbols),
            ("unwatch", {"portfolio_id": "x"}),
        ):
            assert await refused(client, kind, data) == "forbidden"


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("end", ["revoked", "expired", "disabled"])
async def test_what_ends_a_token_ends_its_connections_and_no_other(end: str) -> None:
    token, text = await made(days=1)
    _, other = await made()
    async with connecting(headers=bearer(text)) as (_, _, client), connecting() as (_, _, second):
        await client.receive()
        if end != "disabled":
            await second.send("auth", {"token": other})
            await second.until(lambda frame: frame["type"] == "connection_status")
        await guard().look()
        assert (await client.ask("heartbeat"))["type"] == "heartbeat"
        if end == "revoked":
            await sync_to_async(token_revoke)(token)
        elif end == "expired":
            await sync_to_async(expire)(token)
        else:
            await User.objects.aupdate(is_active=False)
        await guard().look()
        assert await client.close_code() == CloseCode.UNAUTHENTICATED
        if end != "disabled":
            assert (await second.ask("heartbeat"))["type"] == "heartbeat"


@pytest.mark.usefixtures("running")
async def test_signing_out_and_a_new_password_end_a_pages_connections() -> None:
    user = await sync_to_async(User.objects.create_user)("ann", password="before it changed")
    page = Client()
    for end in ("out", "password"):
        await sync_to_async(page.force_login)(user)
        cookie = f"sessionid={page.cookies['sessionid'].value}"
        async with connecting(origin=ORIGIN, headers={"cookie": cookie}) as (_, _, client):
            assert (await client.receive())["data"]["user"] == "ann"
            await guard().look()
            assert (await client.ask("heartbeat"))["type"] == "heartbeat"
            if end == "out":
                await sync_to_async(page.logout)()
            else:
                user.set_password("after it changed")
                await user.asave()
            await guard().look()
            assert await client.close_code() == CloseCode.UNAUTHENTICATED
