"""What a start says when something that it needs is not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from quantumedge.preparation import check_broker, wait_for_redis
from quantumedge.supervisor import StartError

ROOT = Path(__file__).resolve().parents[2]


def _serve(data_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "serve", "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_redis_that_is_not_there_is_named_with_the_mend(
    settings: Settings, free_port: int
) -> None:
    settings.REDIS_URL = f"redis://:secret@127.0.0.1:{free_port}/0"
    with pytest.raises(StartError, match=f"127.0.0.1:{free_port}.*mend REDIS_URL") as raised:
        wait_for_redis(0)
    assert "secret" not in str(raised.value)


def test_a_broker_that_is_not_there_is_named_with_the_mend(
    settings: Settings, free_port: int
) -> None:
    settings.BROKER_URL = f"amqp://guest:secret@127.0.0.1:{free_port}//"
    with pytest.raises(StartError, match=f"127.0.0.1:{free_port}.*mend BROKER_URL") as raised:
        check_broker()
    assert "secret" not in str(raised.value)


def test_the_redis_and_the_broker_of_the_tests_are_there(redis_url: str) -> None:
    wait_for_redis(0)
    check_broker()


@pytest.mark.parametrize(
    ("variable", "url", "mend"),
    [
        ("REDIS_URL", "redis://127.0.0.1:1/0", "mend REDIS_URL"),
        ("DATABASE_URL", "postgres://q:secret@127.0.0.1:1/q", "check DATABASE_URL"),
        ("DATABASE_URL", "oracle://q:secret@127.0.0.1/q", "use postgres://"),
    ],
)
def test_the_server_says_in_words_what_it_cannot_reach(
    variable: str, url: str, mend: str, tmp_path: Path
) -> None:
    done = _serve(tmp_path, **{variable: url})
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert variable in said
    assert mend in said
    assert "Traceback" not in said
    assert "secret" not in said
