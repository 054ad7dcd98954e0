"""What ``manage.py doctor`` looks at: each thing that the server needs, and what to do about it."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from django.conf import settings
from django.core.checks import run_checks
from django.core.checks.messages import ERROR
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from redis.exceptions import RedisError

from marketdata.errors import MarketDataError
from marketdata.quotes import feed_status
from marketdata.redis_client import redis_client
from marketdata.selectors import current_data_version, load_panel
from optimization.queue import workers
from optimization.queue.lanes import Lane

OLDEST_PYTHON = (3, 11)


class Verdict(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing.

    Attributes:
        name: The thing.
        verdict: How it is.
        detail: What was found.
        mend: What to do about it; empty when all is well.
    """

    name: str
    verdict: Verdict
    detail: str
    mend: str = ""


def diagnose() -> Iterator[Finding]:
    """Look at one thing after the other."""
    for name, look in _LOOKS.items():
        try:
            yield look(name)
        except DatabaseError as error:
            mend = "Run `manage.py migrate`; look at DATABASE_URL and DATA_DIR."
            yield Finding(name, Verdict.FAILURE, f"the database does not answer: {error}", mend)
        except RedisError as error:
            mend = "Start `manage.py serve`, which brings a Valkey, or set REDIS_URL."
            yield Finding(name, Verdict.FAILURE, f"Redis does not answer: {error}", mend)
        except MarketDataError as error:
            yield Finding(name, Verdict.FAILURE, str(error), "Run `manage.py load_sample_market`.")


def _python(name: str) -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding(name, Verdict.FAILURE, found, "Install Python 3.11 or newer.")
    return Finding(name, Verdict.OK, found)


def _packages(name: str) -> Finding:
    """Compare what is installed with the direct pins."""
    pins = settings.BASE_DIR / "requirements.in"
    if not pins.is_file():
        return Finding(name, Verdict.WARNING, "no requirements.in here", "Run from the checkout.")
    differing = [told for line in _pins(pins) if (told := _differs(*line))]
    if differing:
        mend = "Run `make install`."
        return Finding(name, Verdict.WARNING, "; ".join(differing), mend)
    return Finding(name, Verdict.OK, f"all {len(_pins(pins))} pinned packages are as pinned")


def _pins(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if "==" in line and not line.startswith("#"))
    return [(package.partition("[")[0].strip(), pin.strip()) for package, _, pin in pairs]


def _differs(package: str, pin: str) -> str:
    try:
        found = version(package)
    except PackageNotFoundError:
        return f"{package} is not installed"
    return "" if found == pin else f"{package} is {found}, pinned is {pin}"


def _settings(name: str) -> Finding:
    errors = [message for message in run_checks(tags=["security"]) if message.level >= ERROR]
    if errors:
        detail = " ".join(str(message.msg) for message in errors)
        mend = " ".join(str(message.hint) for message in errors if message.hint)
        return Finding(name, Verdict.FAILURE, detail, mend)
    return Finding(name, Verdict.OK, "every knob is in range")


def _database(name: str) -> Finding:
    connection.ensure_connection()
    return Finding(name, Verdict.OK, f"{connection.vendor} answers")


def _migrations(name: str) -> Finding:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in waiting[:3])
        detail = f"{len(waiting)} not applied: {names}{' …' if len(waiting) > 3 else ''}"
        return Finding(name, Verdict.FAILURE, detail, "Run `manage.py migrate`.")
    return Finding(name, Verdict.OK, "all applied")


def _redis(name: str) -> Finding:
    redis_client().ping()
    return Finding(name, Verdict.OK, "answers")


def _market(name: str) -> Finding:
    panel = load_panel(current_data_version())
    last = panel.table.dates[-1].item()
    return Finding(name, Verdict.OK, f"{len(panel.symbols)} symbols to {last} ({panel.version})")


def _workers(name: str) -> Finding:
    alive = {lane: workers.live_processes(lane) for lane in Lane}
    detail = ", ".join(f"{lane}: {count}" for lane, count in alive.items())
    missing = [lane for lane, count in alive.items() if count == 0]
    if missing:
        mend = f"Start `manage.py serve`, or `manage.py worker {' '.join(missing)}`."
        verdict = Verdict.FAILURE if len(missing) == len(alive) else Verdict.WARNING
        return Finding(name, verdict, f"processes per lane: {detail}", mend)
    return Finding(name, Verdict.OK, f"processes per lane: {detail}")


def _feed(name: str) -> Finding:
    status = feed_status()
    if status.last_tick is None:
        detail = "no tick yet: no live prices, no automatic triggers"
        return Finding(name, Verdict.WARNING, detail, "Start `manage.py serve` or `run_feed`.")
    if status.stale:
        detail = f"{status.name} is silent for more than {settings.FEED_STALE_SECONDS:g} s"
        return Finding(name, Verdict.WARNING, detail, "Look at the feed's log; restart it.")
    return Finding(name, Verdict.OK, f"{status.name} ticks, {status.ticks} quotes so far")


_LOOKS: dict[str, Callable[[str], Finding]] = {
    "Python": _python,
    "Packages": _packages,
    "Settings": _settings,
    "Database": _database,
    "Migrations": _migrations,
    "Redis": _redis,
    "Market data": _market,
    "Workers": _workers,
    "Feed": _feed,
}
