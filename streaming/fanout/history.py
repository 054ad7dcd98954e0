"""What each owner was told: numbered, bounded, kept in Redis for clients that resume.

Every owner has one run of sequence numbers over all durable frames. A frame that names a
``once`` key is kept and numbered only the first time, so that telling it again after a crash
gives the number it had.
"""

import secrets
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from django.conf import settings

from marketdata.redis_client import redis_client, redis_key, unawaited

LOOK_BACK_SECONDS = 600
"""Ends that are older are not told again; so long, beat or Redis may be away and none is lost."""

ONCE_SECONDS = LOOK_BACK_SECONDS + 120
"""How long a frame is known to have been told.

Longer than anybody looks back, or an end would be told twice; and no longer, because each costs
some 170 bytes of Redis, which at 5 ends a second would grow by 70 MB until the first was a day old.
"""

KEPT_SECONDS = 86_400
"""How long the frames of an owner who hears nothing new are kept; the newest number stays."""

_EPOCH_BYTES = 8

_APPEND = """
local epoch = redis.call('GET', KEYS[4])
if not epoch then
    epoch = ARGV[4]
    redis.call('SET', KEYS[4], epoch)
end
local seq = KEYS[3] ~= '' and tonumber(redis.call('GET', KEYS[3]))
if not seq then
    seq = redis.call('INCR', KEYS[1])
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], seq .. '-1', 'message', ARGV[1])
    redis.call('EXPIRE', KEYS[2], ARGV[7])
    if KEYS[3] ~= '' then redis.call('SET', KEYS[3], seq, 'EX', ARGV[3]) end
end
redis.call('PUBLISH', ARGV[5], ARGV[6] .. epoch .. string.format('%020d', seq))
"""


_SKIP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
if tonumber(redis.call('GET', KEYS[2]) or 0) < tonumber(ARGV[2]) then
    redis.call('SET', KEYS[2], ARGV[2])
end
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

    @classmethod
    def parse(cls, text: str) -> Self:
        """The place that an announcement ends with: the epoch, then the number in 20 digits."""
        return cls(text[:-20], int(text[-20:]))


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is published in the same step as a message is kept.

    Attributes:
        channel: Where.
        head: What is published, but for the message's place, which follows it.
    """

    channel: str
    head: bytes

    PLACE_LENGTH: ClassVar = 2 * _EPOCH_BYTES + 20
    """Characters of a place as it is published."""


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


def append(owner: str, message: bytes, once: str | None, announcement: Announcement) -> None:
    """Number, keep and announce a message, without waiting for Redis to have done it.

    One with a known ``once`` keeps its first place. The script goes by its text, because nobody
    would hear that the server does not know its digest.
    """
    keys = [
        seq_key(owner),
        stream_key(owner),
        once_key(once) if once is not None else "",
        epoch_key(),
    ]
    args: list[str | bytes] = [
        message,
        str(settings.TOPIC_HISTORY),
        str(ONCE_SECONDS),
        secrets.token_hex(_EPOCH_BYTES),
        announcement.channel,
        announcement.head,
        str(KEPT_SECONDS),
    ]
    unawaited.send("EVAL", _APPEND, str(len(keys)), *keys, *args)


def untold(keys: list[str]) -> list[str]:
    """Those ``once`` keys under which nothing was told."""
    if not keys:
        return []
    told = redis_client().mget([once_key(key) for key in keys])
    return [key for key, seq in zip(keys, told, strict=True) if seq is None]


def remember(keys: list[str]) -> None:
    """Know these ``once`` keys for as long again as if they had been told just now."""
    if keys:
        with redis_client().pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.expire(once_key(key), ONCE_SECONDS)
            pipe.execute()


async def beginning(client: Any, owner: str) -> Place:
    """Where an owner's history ends; an epoch begins now if there was none."""
    await client.set(epoch_key(), secrets.token_hex(8), nx=True)
    return await newest_place(client, owner)


async def newest_place(client: Any, owner: str) -> Place:
    """Where an owner's history ends; the epoch is empty before the first frame."""
    epoch, seq = await client.mget(epoch_key(), seq_key(owner))
    return Place(epoch.decode() if epoch else "", int(seq or 0))


async def skip_to(client: Any, owner: str, place: Place) -> None:
    """Give no number up to ``place`` again: a Redis that lost its newest frames would."""
    await client.eval(_SKIP, 2, epoch_key(), seq_key(owner), place.epoch, place.seq)


@dataclass(frozen=True, slots=True)
class Missed:
    """What was told after a place.

    Attributes:
        newest: Where the history ends.
        messages: Number and message of each frame; None when some are no longer kept.
    """

    newest: Place
    messages: list[tuple[int, bytes]] | None


async def missed(client: Any, owner: str, since: Place) -> Missed:
    """What an owner was told after ``since``."""
    async with client.pipeline() as pipe:
        pipe.mget(epoch_key(), seq_key(owner))
        pipe.xrange(stream_key(owner), f"{since.seq + 1}-0", "+")
        (epoch, seq), entries = await pipe.execute()
    newest = Place(epoch.decode() if epoch else "", int(seq or 0))
    if newest.epoch != since.epoch or len(entries) != newest.seq - since.seq:
        return Missed(newest, None)
    return Missed(newest, _numbered(entries))


async def kept(client: Any, owner: str, first: int) -> list[tuple[int, bytes]]:
    """Number and message of the frames that are kept, from number ``first`` on."""
    return _numbered(await client.xrange(stream_key(owner), f"{first}-0", "+"))


def _numbered(entries: Any) -> list[tuple[int, bytes]]:
    return [(int(name.split(b"-")[0]), fields[b"message"]) for name, fields in entries]
