"""The dashboard page, built and not built."""

import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from streaming.pages import built_assets


@pytest.fixture
def dist(tmp_path: Path, settings: Settings) -> Path:
    """A folder for the built page, empty so far."""
    settings.DASHBOARD_DIST = tmp_path
    return tmp_path


def build(dist: Path) -> None:
    entry = {"file": "assets/main-12345678.js", "css": ["assets/main-abcdefgh.css"]}
    (dist / "manifest.json").write_text(json.dumps({"src/main.tsx": entry}))


def test_the_page_loads_the_files_that_the_build_named(dist: Path, client: Client) -> None:
    build(dist)
    page = client.get("/")
    assert page.status_code == 200
    assert 'src="/static/dashboard/assets/main-12345678.js"' in page.text
    assert 'href="/static/dashboard/assets/main-abcdefgh.css"' in page.text


def test_the_page_allows_no_inline_script_and_no_text_as_script(dist: Path, client: Client) -> None:
    build(dist)
    page = client.get("/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "trusted-types 'none'" in policy
    assert "<script>" not in page.text
    assert "<style" not in page.text
    assert "style=" not in page.text


def test_without_a_build_a_plain_page_says_how_to_build_it(dist: Path, client: Client) -> None:
    page = client.get("/")
    assert page.status_code == 503
    assert "make dashboard" in page.text
    assert "<script" not in page.text


def test_strangers_are_sent_to_the_sign_in_page_unless_the_mode_is_local(
    dist: Path, client: Client, settings: Settings
) -> None:
    build(dist)
    settings.LOCAL_MODE = False
    page = client.get("/", secure=True)
    assert page.status_code == 302
    assert page.headers["Location"] == "/admin/login/?next=/"


@pytest.mark.django_db
def test_who_is_signed_in_sees_the_page(dist: Path, client: Client, settings: Settings) -> None:
    build(dist)
    settings.LOCAL_MODE = False
    settings.SECURE_SSL_REDIRECT = False
    client.force_login(User.objects.create_user("anna"))
    assert client.get("/").status_code == 200


def test_the_page_is_only_read(client: Client) -> None:
    assert client.post("/").status_code == 405


def test_an_entry_without_style_sheets_has_none(tmp_path: Path) -> None:
    manifest = {"src/main.tsx": {"file": "assets/main.js"}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assets = built_assets(tmp_path)
    assert assets is not None
    assert assets.script == "dashboard/assets/main.js"
    assert assets.styles == ()


def test_a_browser_finds_the_icon_where_it_looks_for_it(client: Client) -> None:
    answer = client.get("/favicon.ico")
    assert answer.status_code == 302
    assert answer["Location"].endswith(".svg")
