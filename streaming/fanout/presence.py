"""Who is connected, over all web processes, for the status endpoint."""

import json
import os
import secrets
from dataclasses import dataclass
from typing import Any

from redis import asyncio as redis_asyncio
from redis.asyncio.client import Pipeline

from marketdata.redis_client import redis_client, redis_key
from optimization.queue.expectation import expectations
from streaming.fanout.connection import Connection

ALIVE_SECONDS = 15.0
"""A web process that was silent for so long is gone, and its connections with it."""

REFRESH_SECONDS = 5.0

PROCESS_ID = f"{os.getpid()}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Presence:
    """What is connected.

    Attributes:
        topics: Subscribed topics of each client, by client id.
        owners: Owner of each client.
    """

    topics: dict[str, list[str]]
    owners: dict[str, str]


def _processes_key() -> str:
    return redis_key("presence", "processes")


def _process_key(process: str) -> str:
    return redis_key("presence", process)


async def announce(client: redis_asyncio.Redis, connections: list[Connection]) -> None:
    """Write down all connections of this process and that it lives."""
    key = _process_key(PROCESS_ID)
    async with client.pipeline() as pipe:
        pipe.delete(key)
        if connections:
            pipe.hset(key, mapping={c.client_id: _entry(c) for c in connections})
            pipe.expire(key, int(ALIVE_SECONDS))
            pipe.sadd(_processes_key(), PROCESS_ID)
            _expect_requests(pipe)
        await pipe.execute()


async def update(client: redis_asyncio.Redis, connection: Connection) -> None:
    """Write down one connection that came or changed its subscriptions."""
    key = _process_key(PROCESS_ID)
    async with client.pipeline() as pipe:
        pipe.hset(key, connection.client_id, _entry(connection))
        pipe.expire(key, int(ALIVE_SECONDS))
        pipe.sadd(_processes_key(), PROCESS_ID)
        _expect_requests(pipe)
        await pipe.execute()


async def remove(client: redis_asyncio.Redis, connection: Connection) -> None:
    """Strike out a connection that is gone."""
    await client.hdel(_process_key(PROCESS_ID), connection.client_id)


def present() -> Presence:
    """Everything that is connected now."""
    client = redis_client()
    members: Any = client.smembers(_processes_key())
    processes = [name.decode() for name in members]
    with client.pipeline(transaction=False) as pipe:
        for process in processes:
            pipe.hgetall(_process_key(process))
        tables = pipe.execute()
    # A process writes its name anew whenever it has a connection.
    if gone := [name for name, table in zip(processes, tables, strict=True) if not table]:
        client.srem(_processes_key(), *gone)
    topics: dict[str, list[str]] = {}
    owners: dict[str, str] = {}
    for table in tables:
        for client_id, entry in table.items():
            owner, subscribed = json.loads(entry)
            topics[client_id.decode()], owners[client_id.decode()] = subscribed, owner
    return Presence(topics, owners)


def _expect_requests(pipe: Pipeline) -> None:
    """Say that whoever is connected may ask."""
    for command in expectations():
        pipe.execute_command(*command)


def _entry(connection: Connection) -> str:
    return json.dumps([connection.owner.key, sorted(map(str, connection.subscriptions))])
