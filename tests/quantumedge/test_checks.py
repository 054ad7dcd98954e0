import math

import pytest
from django.core.checks import CheckMessage, run_checks
from pytest_django import Settings

from quantumedge.checks import LANE_RANGES, RANGES


def problems() -> list[CheckMessage]:
    return [found for found in run_checks() if str(found.id).startswith("quantumedge.")]


def test_the_defaults_have_no_problem() -> None:
    assert problems() == []


@pytest.mark.parametrize("limits", RANGES, ids=lambda limits: str(limits.name))
def test_each_number_is_refused_outside_its_range_and_taken_at_its_ends(
    settings: Settings, limits: object
) -> None:
    name, least, most = (getattr(limits, key) for key in ("name", "least", "most"))
    for value in (least, most):
        setattr(settings, name, value)
        assert problems() == []
    for value in (least - 1, most + 1, math.nan):
        setattr(settings, name, value)
        (problem,) = problems()
        assert name in problem.msg
        assert f"{most:g}" in str(problem.hint)


@pytest.mark.parametrize("setting", LANE_RANGES)
def test_each_lane_number_is_named_by_its_variable(settings: Settings, setting: str) -> None:
    setattr(settings, setting, {"convex": 1, "quantum": 0})
    (problem,) = problems()
    assert f"QUANTUM_{LANE_RANGES[setting].name} is 0" in problem.msg


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FEED", "bloomberg"),
        ("LOG_LEVEL", "LOUD"),
        ("REDIS_URL", "http://cache"),
        ("BROKER_URL", "kafka://queue"),
        ("ALLOWED_ORIGINS", ["desk.example"]),
        ("ALLOWED_ORIGINS", ["https://desk.example/app"]),
    ],
)
def test_a_value_that_is_not_known_is_refused_with_what_is(
    settings: Settings, name: str, value: object
) -> None:
    setattr(settings, name, value)
    (problem,) = problems()
    assert name in problem.msg
    assert problem.hint


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "desk.example"])
def test_local_mode_is_refused_on_an_address_that_others_reach(
    settings: Settings, host: str
) -> None:
    settings.HOST = host
    (problem,) = problems()
    assert "LOCAL_MODE" in problem.msg


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "[::1]", "localhost"])
def test_local_mode_runs_on_loopback(settings: Settings, host: str) -> None:
    settings.HOST = host
    assert problems() == []


def test_a_public_server_needs_a_key_named_hosts_and_no_debug_pages(
    settings: Settings,
) -> None:
    settings.LOCAL_MODE = False
    settings.HOST = "0.0.0.0"
    settings.SECRET_KEY_CONFIGURED = False
    settings.ALLOWED_HOSTS = ["*"]
    settings.DEBUG = True
    assert [problem.id for problem in problems()] == [
        "quantumedge.E005",
        "quantumedge.E006",
        "quantumedge.E007",
    ]
    settings.SECRET_KEY_CONFIGURED = True
    settings.ALLOWED_HOSTS = ["desk.example"]
    settings.DEBUG = False
    assert problems() == []
