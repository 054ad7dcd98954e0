"""Headless Chromium on the built page, served by the real server.

Every page that a test opens is listened to: a message of the browser's console that is an error, a
violation of the content security policy among them, fails the test.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from tests.e2e.conftest import data_dir, server
from tests.e2e.harness import PATIENCE, ROOT, Server

__all__ = ["data_dir", "server"]

ARTIFACTS = ROOT / "test-artifacts" / "dashboard"
AXE = ROOT / "streaming" / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = Path("/usr/bin/chromium")

expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """Debian's Chromium; playwright's own download is never used."""
    assert CHROMIUM.exists(), "Chromium is missing: apt-get install chromium"
    manifest = settings.DASHBOARD_DIST / "manifest.json"
    assert manifest.exists(), "the dashboard was not built: run make dashboard"
    return {
        "executable_path": str(CHROMIUM),
        "args": ["--no-sandbox", "--disable-dev-shm-usage"],
    }


@pytest.fixture(scope="session")
def browser_context_args() -> dict[str, object]:
    """A desk's screen."""
    return {"viewport": {"width": 1440, "height": 1000}, "color_scheme": "light"}


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained of; a test that expects a complaint takes it out."""
    return []


@pytest.fixture
def listened(context: BrowserContext, complaints: list[str]) -> Iterator[BrowserContext]:
    """A context whose pages may not complain."""

    listen(context, complaints)
    yield context
    assert complaints == []


def listen(context: BrowserContext, complaints: list[str]) -> None:
    """Note every error and warning of a context's pages."""

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(f"{message.type}: {message.text}")

    context.on("console", heard)
    context.on("weberror", lambda error: complaints.append(f"exception: {error.error}"))
    context.set_default_timeout(PATIENCE * 1000)


@pytest.fixture
def open_page(listened: BrowserContext) -> Callable[[Server], Page]:
    """Opens the dashboard of a server and waits until it is live."""

    def opened(server: Server) -> Page:
        page = listened.new_page()
        page.goto(f"{server.url}/")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        return page

    return opened


@pytest.fixture
def dashboard(server: Server, open_page: Callable[[Server], Page]) -> Page:
    """The dashboard of the shared server, live."""
    return open_page(server)
