"""``manage.py run_feed`` as a process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.models import DataVersion
from marketdata.quotes import Quote, latest_quotes
from marketdata.redis_client import redis_key

ROOT = Path(__file__).parents[2]


def manage(*words: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env={**os.environ, "DATA_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, told = process.communicate()
    return process.returncode, told


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DATA_DIR with three months of the sample market."""
    path = tmp_path_factory.mktemp("data")
    for words in (["migrate", "-v0"], ["load_sample_market", "--until", "1990-03-30"]):
        code, told = ended(manage(*words, folder=path))
        assert code == 0, told
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_feed_ticks_until_a_signal_ends_it(
    redis_server: Redis, folder: Path, number: signal.Signals
) -> None:
    redis_server.config_set("notify-keyspace-events", "Kh")
    news = redis_server.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    news.subscribe(f"__keyspace@0__:{redis_key('quotes')}")
    words = ["run_feed", "simulated", "--symbols=AAPL, KO", "--rate=20", "--seed=7"]
    feed = manage(*words, folder=folder)
    while news.get_message(timeout=None) is None:
        pass
    quotes: dict[str, Quote] = latest_quotes()
    feed.send_signal(number)
    code, told = ended(feed)
    news.close()
    assert code == 0
    assert {"Feed simulated: running", "Feed simulated: stopped"} <= set(told.splitlines())
    assert set(quotes) == {"AAPL", "KO"}


def test_a_replay_plays_days_and_then_stays_until_it_is_told_to_go(
    redis_server: Redis, folder: Path, tmp_path: Path
) -> None:
    days = tmp_path / "days.csv"
    days.write_text("date,AAPL,KO\n1990-04-02,0.3,2.2\n1990-04-03,0.31,2.3\n")
    words = ["run_feed", "replay", f"--file={days}", "--rate=1000"]
    feed = manage(*words, folder=folder)
    assert feed.stderr is not None
    for line in feed.stderr:
        if "no day is left" in line:
            break
    feed.send_signal(signal.SIGTERM)
    assert ended(feed)[0] == 0
    assert {s: q.price for s, q in latest_quotes().items()} == {"AAPL": 0.31, "KO": 2.3}


def test_json_prints_each_quote_as_a_line(redis_server: Redis, folder: Path) -> None:
    words = ["run_feed", "simulated", "--symbols=AAPL", "--rate=20", "--seed=7", "--json"]
    feed = manage(*words, folder=folder)
    assert feed.stdout is not None
    quotes = [json.loads(feed.stdout.readline()) for _ in range(3)]
    feed.send_signal(signal.SIGTERM)
    assert ended(feed)[0] == 0
    assert [(q["symbol"], q["source"], q["feed"]) for q in quotes] == [
        ("AAPL", "simulated", "simulated")
    ] * 3
    times = [quote["timestamp"] for quote in quotes]
    assert times == sorted(set(times))


def test_without_redis_the_feed_says_so(market: DataVersion, settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    with pytest.raises(CommandError, match="the Redis of REDIS_URL does not answer"):
        call_command("run_feed", "simulated")


def test_a_wrong_rate_and_an_unknown_symbol_are_clear_errors(
    redis_server: Redis, market: DataVersion
) -> None:
    with pytest.raises(CommandError, match=r"rate is 0\.0; it must be above 0"):
        call_command("run_feed", "simulated", rate=0.0)
    with pytest.raises(CommandError, match="no prices of 'APPL'; did you mean AAPL"):
        call_command("run_feed", "simulated", symbols="APPL")


def test_a_feed_without_prices_says_what_to_run(redis_server: Redis, db: None) -> None:
    with pytest.raises(CommandError, match="load_sample_market"):
        call_command("run_feed", "simulated")
