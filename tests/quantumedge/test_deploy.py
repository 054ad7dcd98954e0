"""The production settings and the source under Django's and bandit's own checks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "SECRET_KEY": "xT2-fkQ9_rVbW7mPz4LhYd8sNcJe0uGa6iRo1tKy5vBqMwEl3nSjZgUpCxFhDA",
    "LOCAL_MODE": "false",
    "HOST": "0.0.0.0",
    "ALLOWED_HOSTS": "desk.example",
}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def check(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    deploy = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    return run(sys.executable, *deploy, **{"DATA_DIR": str(tmp_path), **environment})


def test_the_production_settings_pass_djangos_deployment_check(tmp_path: Path) -> None:
    done = check(tmp_path, **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DEBUG", "true", "quantumedge.E007"),
        ("ALLOWED_HOSTS", "*", "quantumedge.E006"),
        ("SECURE", "false", "security.W012"),
        ("TRUSTED_PROXIES", "proxy", "quantumedge.E008"),
    ],
)
def test_a_setting_that_lets_strangers_in_fails_the_check(
    tmp_path: Path, name: str, value: str, problem: str
) -> None:
    done = check(tmp_path, **{**PRODUCTION, name: value})
    assert done.returncode != 0
    assert problem in done.stderr


def test_bandit_finds_nothing_in_the_source() -> None:
    packages = ("quantumedge", "streaming", "optimization", "marketdata")
    done = run(sys.executable, "-m", "bandit", "-q", "-c", "pyproject.toml", "-r", *packages)
    assert done.returncode == 0, done.stdout
