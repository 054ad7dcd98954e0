import os
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from quantumedge.environment import SOCKET_PATH_LIMIT, Env, serves, socket_path


def test_a_value_of_the_wrong_kind_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "eight thousand")
    with pytest.raises(ImproperlyConfigured, match="PORT is 'eight thousand'"):
        Env().int("PORT", default=8000)


def test_an_unset_variable_takes_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)
    assert Env().int("PORT", default=8000) == 8000


def test_a_socket_lies_in_its_folder_when_the_path_is_short() -> None:
    assert socket_path(Path("/srv/quantumedge"), "v.sock") == Path("/srv/quantumedge/v.sock")


def test_a_deep_folder_gets_a_short_socket_path_that_every_process_computes() -> None:
    folder = Path("/srv") / ("deep" * 40)
    path = socket_path(folder, "v.sock")
    assert len(os.fsencode(path)) <= SOCKET_PATH_LIMIT
    assert path == socket_path(folder, "v.sock")
    assert path != socket_path(folder / "other", "v.sock")


def test_only_processes_that_serve_are_impatient_with_the_database() -> None:
    assert serves(["manage.py", "worker", "convex"])
    assert serves(["manage.py", "web"])
    assert not serves(["manage.py", "migrate"])
    assert not serves(["pytest"])
