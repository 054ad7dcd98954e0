"""The shared Redis client."""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from marketdata.redis_client import (
    ASYNC_CONNECTIONS,
    Asked,
    async_redis_client,
    redis_client,
    redis_command,
    redis_commands,
    redis_key,
    unawaited,
)
from tests.proxy import Proxy, proxying


@contextmanager
def unreachable_redis(settings: Settings) -> Iterator[None]:
    """Settings that name an address at which nobody listens."""
    url, settings.REDIS_URL = settings.REDIS_URL, "unix:///nowhere/valkey.sock"
    yield
    settings.REDIS_URL = url


def test_one_client_serves_the_whole_process(redis_server: Redis) -> None:
    assert redis_client() is redis_client()
    redis_client().set("word", "here")
    assert redis_server.get("word") == b"here"


def test_keys_carry_the_prefix_of_this_server() -> None:
    assert redis_key("quotes", "newest") == "qe:quotes:newest"


def test_a_forked_child_gets_connections_of_its_own(redis_server: Redis) -> None:
    parent_connection = redis_client().client_id()
    child = os.fork()
    if child == 0:
        redis_client().set("child", str(redis_client().client_id()))
        os._exit(0)
    os.waitpid(child, 0)
    told = redis_server.get("child")
    assert isinstance(told, bytes)
    assert int(told) != parent_connection
    assert redis_client().client_id() == parent_connection


def test_an_answer_is_that_of_the_moment_of_its_question(redis_server: Redis) -> None:
    redis_server.set("word", "before")
    with Asked("GET", "word") as first, Asked("GET", "word") as second:
        assert first.reply() == b"before"
        redis_server.set("word", "after")
        assert second.reply() == b"before"


def test_an_answer_that_nobody_wanted_is_read_by_nobody_else(redis_server: Redis) -> None:
    redis_server.set("word", "unwanted")
    with Asked("GET", "word"):
        pass
    assert redis_client().get("another") is None


def test_a_question_whose_connection_breaks_is_asked_again(redis_server: Redis) -> None:
    redis_server.set("word", "here")
    asked = Asked("GET", "word")
    redis_server.client_kill_filter(skipme=True, _type="normal")
    assert asked.reply() == b"here"


def test_a_question_that_redis_cannot_be_asked_fails_when_its_answer_is_wanted(
    settings: Settings,
) -> None:
    with unreachable_redis(settings), Asked("GET", "word") as asked, pytest.raises(RedisError):
        asked.reply()


def heard(server: Redis, count: int) -> list[bytes]:
    """What was pushed, once so much of it has arrived."""
    pushed: list[bytes] = []
    while len(pushed) < count:
        reply: Any = server.blpop(["news"], timeout=10)
        pushed.append(reply[1])
    return pushed


def test_what_is_sent_without_waiting_arrives_in_order(redis_server: Redis) -> None:
    for number in range(100):
        unawaited.send("RPUSH", "news", str(number))
    assert heard(redis_server, 100) == [str(number).encode() for number in range(100)]


def test_a_command_that_redis_refuses_harms_none_that_follows(redis_server: Redis) -> None:
    redis_server.set("word", "no list")
    unawaited.send("RPUSH", "word", "refused")
    unawaited.send("RPUSH", "news", "after")
    assert heard(redis_server, 1) == [b"after"]


def test_a_connection_that_broke_is_made_again(redis_server: Redis) -> None:
    unawaited.send("RPUSH", "news", "before")
    assert heard(redis_server, 1) == [b"before"]
    redis_server.client_kill_filter(_type="normal", skipme=True)
    unawaited.send("RPUSH", "news", "after")
    assert heard(redis_server, 1) == [b"after"]


def test_an_unreachable_redis_is_an_error_and_a_reachable_one_serves_again(
    redis_server: Redis, settings: Settings
) -> None:
    with unreachable_redis(settings), pytest.raises(RedisError):
        unawaited.send("RPUSH", "news", "lost")
    unawaited.send("RPUSH", "news", "after")
    assert heard(redis_server, 1) == [b"after"]


def test_a_forked_child_sends_on_a_connection_of_its_own(redis_server: Redis) -> None:
    unawaited.send("RPUSH", "news", "parent")
    child = os.fork()
    if child == 0:
        for _ in range(50):
            unawaited.send("RPUSH", "news", "child")
        os._exit(0)
    os.waitpid(child, 0)
    unawaited.send("RPUSH", "news", "parent")
    assert sorted(heard(redis_server, 52)) == [b"child"] * 50 + [b"parent"] * 2


def test_a_thread_keeps_one_connection_for_its_commands(redis_server: Redis) -> None:
    ids = [redis_command("CLIENT", "ID") for _ in range(3)]
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(redis_command, "CLIENT", "ID").result()
    assert len(set(ids)) == 1
    assert other != ids[0]


def test_a_command_that_is_refused_is_an_error_and_harms_none_that_follows(
    redis_server: Redis,
) -> None:
    redis_server.set("word", "no list")
    with pytest.raises(ResponseError):
        redis_command("RPUSH", "word", "refused")
    assert redis_command("GET", "word") == b"no list"


def test_commands_of_one_round_trip_are_all_done_even_if_one_is_refused(
    redis_server: Redis,
) -> None:
    with pytest.raises(ResponseError):
        redis_commands([("SET", "word", "no list"), ("RPUSH", "word", "x"), ("INCR", "count")])
    replies = redis_commands([("GET", "word"), ("MULTI",), ("INCR", "count"), ("EXEC",)])
    assert replies == [b"no list", b"OK", b"QUEUED", [2]]


def test_a_command_whose_connection_broke_is_sent_on_a_new_one(redis_server: Redis) -> None:
    redis_command("SET", "word", "before")
    redis_server.client_kill_filter(_type="normal", skipme=True)
    assert redis_command("GET", "word") == b"before"


def test_a_forked_child_commands_on_a_connection_of_its_own(redis_server: Redis) -> None:
    mine = redis_command("CLIENT", "ID")
    child = os.fork()
    if child == 0:
        redis_command("SET", "child", redis_command("CLIENT", "ID"))
        os._exit(0)
    os.waitpid(child, 0)
    assert int(redis_command("GET", "child")) != mine
    assert redis_command("CLIENT", "ID") == mine


def test_a_command_to_an_unreachable_redis_is_an_error_until_it_can_be_reached(
    redis_server: Redis, settings: Settings
) -> None:
    with unreachable_redis(settings), pytest.raises(RedisError):
        redis_command("PING")
    assert redis_command("PING") == b"PONG"


async def test_a_crowd_on_the_event_loop_shares_a_few_connections(redis_server: Redis) -> None:
    client = async_redis_client()
    await asyncio.gather(*(client.append("asked", "x") for _ in range(500)))
    # By their last command: real servers of other tests share this Redis.
    known: Any = redis_server.client_list()
    connected = sum(connection["cmd"] == "append" for connection in known)
    await client.aclose()
    assert redis_server.get("asked") == b"x" * 500
    assert 1 <= connected <= ASYNC_CONNECTIONS


def test_lines_that_have_gone_dead_cost_no_caller_an_error(
    redis_socket: str, settings: Settings
) -> None:
    settings.REDIS_TIMEOUT = 0.2
    with proxying(redis_socket) as proxy:
        settings.REDIS_URL = f"redis://127.0.0.1:{proxy.port}"
        pool = redis_client().connection_pool
        for connection in [pool.get_connection() for _ in range(5)]:
            pool.release(connection)
        proxy.mute()
        assert redis_client().ping() is True
        assert redis_client().ping() is True
        assert redis_command("PING") == b"PONG"
        proxy.mute()
        assert redis_command("PING") == b"PONG"
        redis_client().close()


@pytest.mark.parametrize("breaks", [Proxy.mute, Proxy.reset])
async def test_dead_lines_cost_no_caller_on_the_event_loop_an_error(
    redis_socket: str, settings: Settings, breaks: Callable[[Proxy], None]
) -> None:
    """However many of them lie idle, and whether or not anything told that they are dead."""
    settings.REDIS_TIMEOUT = 0.2
    with proxying(redis_socket) as proxy:
        settings.REDIS_URL = f"redis://127.0.0.1:{proxy.port}"
        client = async_redis_client()
        for _ in range(3):
            crowd = [client.ping() for _ in range(5 * ASYNC_CONNECTIONS)]
            assert await asyncio.gather(*crowd) == [True] * len(crowd)
            await asyncio.to_thread(breaks, proxy)
            assert await client.ping() is True
        await client.aclose()
