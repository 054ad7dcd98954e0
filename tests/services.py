"""PostgreSQL, Redis over TCP and RabbitMQ for a whole test run, in the place of what is embedded.

``make test-services`` sets ``TEST_SERVICES``, and the same tests then run on these.
"""

import os
import shutil
import socket
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import SystemRandom

from tests.postgresql import PostgreSQL
from tests.rabbitmq import RabbitMQ
from tests.valkey import start_valkey

WANTED = bool(os.environ.get("TEST_SERVICES"))
ADDRESSES = ("DATABASE_URL", "REDIS_URL", "BROKER_URL")
"""The settings that say where the services are."""


FIXED_PORTS = range(20_000, 32_000)
"""Below those that Linux gives to whoever asks for any: nobody takes one before its server does."""


def free_ports(number: int) -> tuple[int, ...]:
    """TCP ports that nobody listens on."""
    found: list[int] = []
    for port in SystemRandom().sample(FIXED_PORTS, len(FIXED_PORTS)):
        if len(found) == number:
            break
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))
            found.append(port)
    return tuple(found)


class Services:
    """The three of them, started; each server under test gets a part of its own."""

    def __init__(self) -> None:
        ports = free_ports(5)
        self.postgresql = PostgreSQL(ports[0])
        self.rabbitmq = RabbitMQ((ports[1], ports[2], ports[3]))
        self.folder = Path(tempfile.mkdtemp(prefix="qe-redis-", dir="/tmp"))
        self.redis = start_valkey(self.folder, "127.0.0.1", port=ports[4])
        self._redis_port = ports[4]
        self._known: set[str] = set()

    def environment(self, name: str) -> dict[str, str]:
        """The settings of the server of this name; the same name finds the same data again."""
        if name not in self._known:
            self._known.add(name)
            self.postgresql.create(name)
            self.rabbitmq.create(name)
        return {
            "DATABASE_URL": self.postgresql.url(name),
            "REDIS_URL": f"redis://127.0.0.1:{self._redis_port}/0",
            "REDIS_PREFIX": name,
            "BROKER_URL": self.rabbitmq.url(name),
            # Many servers share one machine here; what a time limit does has tests of its own.
            "DATABASE_TIMEOUT": "60",
        }

    def forget(self, name: str) -> None:
        """Remove what the server of this name has left."""
        if name in self._known:
            self._known.remove(name)
            self.postgresql.drop(name)
            self.rabbitmq.drop(name)

    def stop(self) -> None:
        """End them and remove their folders."""
        self.redis.terminate()
        self.redis.wait()
        shutil.rmtree(self.folder)
        self.rabbitmq.stop()
        self.postgresql.stop()


@cache
def services() -> Services:
    """The services of this run; the first call starts them."""
    return Services()


def part(name: str) -> dict[str, str]:
    """Settings that give a server of this name its own part of the services, where they run."""
    return services().environment(name) if WANTED else {}


def forget(name: str) -> None:
    """Remove what a server of this name has left."""
    if WANTED:
        services().forget(name)
