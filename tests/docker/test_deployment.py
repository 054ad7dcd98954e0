"""The compose file, the units and the image name only what exists."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands

DOCKER = Path(settings.BASE_DIR) / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yml").read_text())
OURS = {
    name: service
    for name, service in COMPOSE["services"].items()
    if service["image"] == "quantumedge"
}
UNITS = sorted((DOCKER / "systemd").glob("*.service"))
ELSEWHERE = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "SAMPLE_MARKET"}
"""Variables that the libraries or the entrypoint read, not the settings."""


def known_variables() -> set[str]:
    source = (Path(settings.BASE_DIR) / "quantumedge" / "settings.py").read_text()
    return set(re.findall(r"env\.\w+\(\s*\"([A-Z_]+)\"", source)) | ELSEWHERE


@pytest.mark.parametrize("name", OURS)
def test_each_service_runs_a_command_that_exists(name: str) -> None:
    command, *arguments = OURS[name]["command"]
    assert command == "prepare" or get_commands()[command] is not None
    if command == "worker":
        assert set(arguments) <= set(settings.WORKER_CONCURRENCY)


def test_every_lane_has_a_worker_and_everything_runs_without_rights() -> None:
    lanes = {lane for service in OURS.values() for lane in service["command"][1:]}
    assert set(settings.WORKER_CONCURRENCY) <= lanes
    for service in OURS.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", OURS)
def test_each_service_sets_only_knobs_that_exist(name: str) -> None:
    assert set(OURS[name]["environment"]) <= known_variables()


def test_the_compose_file_takes_every_secret_from_the_environment_file() -> None:
    named = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yml").read_text()))
    given = set(re.findall(r"^(\w+)=", (DOCKER / "env.example").read_text(), re.MULTILINE))
    assert named <= given


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_each_unit_runs_a_command_that_exists(unit: Path) -> None:
    found = re.search(r"^ExecStart=\S+/python manage\.py (\w+)", unit.read_text(), re.MULTILINE)
    assert found is not None
    assert found[1] in get_commands()


def test_the_units_environment_sets_only_knobs_that_exist() -> None:
    text = (DOCKER / "systemd" / "quantumedge.env.example").read_text()
    assert set(re.findall(r"^(\w+)=", text, re.MULTILINE)) <= known_variables()


def test_the_target_wants_every_unit() -> None:
    wanted = (DOCKER / "systemd" / "quantumedge.target").read_text()
    for unit in UNITS:
        assert unit.name.replace("@.service", "@") in wanted
    for lane in settings.WORKER_CONCURRENCY:
        assert f"quantumedge-worker@{lane}.service" in wanted


@pytest.mark.parametrize("script", ["docker/entrypoint", ".ci/install", ".ci/run", ".ci/packages"])
def test_each_shell_script_parses(script: str) -> None:
    subprocess.run(["bash", "-n", script], cwd=settings.BASE_DIR, check=True)


def test_the_production_settings_pass_django_s_own_deployment_checks(
    tmp_path: Path,
) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "DATA_DIR": str(tmp_path),
        "LOCAL_MODE": "false",
        "HOST": "0.0.0.0",
        "SECRET_KEY": "k9" * 30 + "!qwertyuiop",
        "ALLOWED_HOSTS": "desk.example",
        "REDIS_URL": "redis://:secret@localhost:6379/0",
        "DATABASE_URL": "postgres://user:secret@localhost/quantumedge",
    }
    subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=settings.BASE_DIR,
        env=environment,
        check=True,
    )
