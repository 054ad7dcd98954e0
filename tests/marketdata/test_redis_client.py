"""The shared Redis client."""

import os

from redis import Redis

from marketdata.redis_client import redis_client, redis_key


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
