"""What each owner was told: numbered, bounded, kept in Redis for clients that resume.

Every owner has one run of sequence numbers over all durable frames. A frame that names a
``once`` key is kept and numbered only the first time, so that telling it again after a crash
gives the number it had.
"""

import secrets
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from redis import Redis
from redis.commands.core import Script

from marketdata.redis_client import redis_client, redis_key

ONCE_SECONDS = 86_400
"""How long a frame that was told is known to have been told."""

_APPEND = """
local epoch = redis.call('GET', KEYS[4])
if not epoch then
    epoch = ARGV[4]
    redis.call('SET', KEYS[4], epoch)
end
if KEYS[3] ~= '' then
    local told = redis.call('GET', KEYS[3])
    if told then return {epoch, tonumber(told)} end
end
local seq = redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], seq .. '-1', 'message', ARGV[1])
if KEYS[3] ~= '' then redis.call('SET', KEYS[3], seq, 'EX', ARGV[3]) end
return {epoch, seq}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame stands in an owner's history.

    Attributes:
        epoch: Names the run of numbers; a new one begins when Redis lost its data.
        seq: The frame's number.
    """

    epoch: str
    seq: int


def seq_key(owner: str) -> str:
    """Key of an owner's newest number."""
    return redis_key("history", "seq", owner)


def stream_key(owner: str) -> str:
    """Key of an owner's frames."""
    return redis_key("history", "frames", owner)


def epoch_key() -> str:
    """Key of the epoch, shared by all owners."""
    return redis_key("history", "epoch")


def once_key(once: str) -> str:
    """Key that says that a frame was told."""
    return redis_key("history", "once", once)


@cache
def _append_script() -> Script:
    return redis_client().register_script(_APPEND)


def append(owner: str, message: bytes, once: str | None = None) -> Place:
    """Number and keep a message; one with a known ``once`` keeps its first place."""
    epoch, seq = _append_script()(
        keys=[
            seq_key(owner),
            stream_key(owner),
            once_key(once) if once is not None else "",
            epoch_key(),
        ],
        args=[message, settings.TOPIC_HISTORY, ONCE_SECONDS, secrets.token_hex(8)],
    )
    return Place(epoch.decode(), int(seq))


def untold(keys: list[str]) -> list[str]:
    """Those ``once`` keys under which nothing was told."""
    if not keys:
        return []
    told = redis_client().mget([once_key(key) for key in keys])
    return [key for key, seq in zip(keys, told, strict=True) if seq is None]


def forget(client: "Redis") -> None:
    """Begin a new epoch, as after the loss of Redis' data."""
    client.delete(epoch_key())
