"""Scripts of the queue, by their digests."""

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from optimization.queue.store import script


def test_a_script_runs_whether_or_not_the_server_knows_it(redis_server: Redis) -> None:
    greet = script("return {KEYS[1], ARGV[1], ARGV[2]}")
    assert greet(keys=["key"], args=["word", 2]) == [b"key", b"word", b"2"]
    redis_server.script_flush()
    assert greet(keys=["key"], args=["word", 2]) == [b"key", b"word", b"2"]
    assert redis_server.script_exists(greet.digest) == [True]


def test_a_script_that_fails_is_an_error(redis_server: Redis) -> None:
    redis_server.set("word", "no list")
    with pytest.raises(ResponseError):
        script("return redis.call('LPOP', KEYS[1])")(keys=["word"], args=[])
