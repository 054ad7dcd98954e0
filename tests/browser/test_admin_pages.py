"""The admin and the documents of the API in a real browser, under the strict CSP."""

import os
import subprocess
import sys

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import ARTIFACTS
from tests.e2e.harness import ROOT, Server

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def operator_name(server: Server) -> str:
    """A superuser of the running server."""
    account = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD, "DJANGO_SUPERUSER_EMAIL": "ann@desk.example"}
    subprocess.run(
        [sys.executable, "manage.py", "createsuperuser", "--noinput", "--username", "ann"],
        cwd=ROOT,
        env={**os.environ, **account, "DATA_DIR": str(server.data_dir)},
        check=True,
        capture_output=True,
    )
    return "ann"


@pytest.fixture
def admin(server: Server, operator_name: str, listened: BrowserContext) -> Page:
    """The admin's first page, signed in."""
    page = listened.new_page()
    page.goto(f"{server.url}/admin/")
    page.get_by_label("Username").fill(operator_name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="Service")).to_be_visible()
    return page


def _picture(page: Page, name: str) -> None:
    ARTIFACTS.parent.joinpath("admin").mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS.parent / "admin" / f"{name}.png", full_page=True)


@pytest.mark.parametrize("name", ["optimizationrequest", "portfolio"])
def test_a_list_fits_the_screen_of_a_laptop(admin: Page, server: Server, name: str) -> None:
    admin.set_viewport_size({"width": 1280, "height": 800})
    admin.goto(f"{server.url}/admin/optimization/{name}/")
    expect(admin.locator("#result_list tbody tr").first).to_be_visible()
    beyond = admin.locator(".results").evaluate("list => list.scrollWidth - list.clientWidth")
    assert beyond <= 0
    _picture(admin, f"{name}-list")


def test_the_history_leads_to_a_request_with_its_weights(admin: Page, server: Server) -> None:
    admin.goto(f"{server.url}/admin/optimization/optimizationrequest/")
    _picture(admin, "history")
    admin.locator("#result_list tbody tr").last.get_by_role("link").first.click()
    expect(admin.get_by_role("rowheader", name="Sharpe ratio")).to_be_visible()
    bar = admin.locator("svg.qe-bar rect").first
    box = bar.bounding_box()
    assert box is not None
    assert box["width"] > 50
    _picture(admin, "request")


def test_a_request_is_run_again_by_hand(admin: Page, server: Server) -> None:
    admin.goto(f"{server.url}/admin/optimization/optimizationrequest/")
    admin.locator("#result_list tbody tr").last.get_by_role("checkbox").check()
    admin.locator("select[name=action]").select_option("run_again")
    admin.locator("button[name=index]").click()
    expect(admin.get_by_text("Submitted: opt_admin_")).to_be_visible()


def test_the_service_page_shows_and_acts(admin: Page, server: Server) -> None:
    admin.get_by_role("link", name="Service").click()
    expect(admin.get_by_role("heading", name="Lanes")).to_be_visible()
    _picture(admin, "service")
    admin.get_by_role("button", name="Pause automatic triggers").click()
    expect(admin.get_by_text("Automatic triggers are paused.")).to_be_visible()
    admin.get_by_role("button", name="Resume automatic triggers").click()
    expect(admin.get_by_text("Automatic triggers run again.")).to_be_visible()


def test_the_page_of_the_api_is_drawn(server: Server, listened: BrowserContext) -> None:
    page = listened.new_page()
    page.goto(f"{server.url}/api/v1/docs/")
    expect(page.get_by_role("heading", name="QuantumEdge")).to_be_visible()
    page.get_by_role("link", name="POST /api/v1/optimizations/", exact=True).click()
    _picture(page, "api-docs")


@pytest.mark.parametrize(
    "page",
    [
        "auth/user/add/",
        "marketdata/asset/",
        "marketdata/bar/",
        "marketdata/dataversion/",
        "marketdata/quarantinedtick/",
        "optimization/portfolio/",
        "streaming/apitoken/add/",
    ],
)
def test_no_page_of_the_admin_complains(admin: Page, server: Server, page: str) -> None:
    """What the browser complains of fails the test by itself; each page also shows its content."""
    admin.goto(f"{server.url}/admin/{page}")
    expect(admin.locator("#content-main")).to_be_visible()
    _picture(admin, page.strip("/").replace("/", "-"))


def test_a_watched_portfolio_is_changed_and_a_wrong_rule_explained(
    admin: Page, server: Server
) -> None:
    admin.goto(f"{server.url}/admin/optimization/portfolio/")
    admin.locator("#result_list tbody tr").first.get_by_role("link").first.click()
    rules = admin.get_by_label("Rules")
    rules.fill('[{"kind": "price_change", "threshold": -1}]')
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.locator(".field-rules .errorlist")).to_contain_text("greater than 0")
    _picture(admin, "portfolio-refused")
    rules.fill('[{"kind": "price_change", "threshold": 0.005}]')
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.locator(".messagelist")).to_contain_text("was changed successfully")


def test_a_lane_is_drained_the_cache_purged_and_the_sample_loaded_again(
    admin: Page, server: Server
) -> None:
    admin.goto(f"{server.url}/admin/service/")
    row = admin.get_by_role("row", name="quantum")
    row.get_by_role("button", name="Drain").click()
    expect(admin.locator(".messagelist")).to_contain_text("waited in the quantum lane")
    admin.get_by_role("button", name="Purge the cache").click()
    expect(admin.locator(".messagelist")).to_contain_text("cached results")
    admin.get_by_role("button", name="Reload the sample market").click()
    expect(admin.locator(".messagelist")).to_contain_text("Sample market")
