"""What arrives by itself: prices, automatic results, and the connection's own state."""

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.steps import choose_symbols, optimise, result
from tests.e2e.harness import Server, gone, serving

pytestmark = pytest.mark.browser


def test_prices_change_by_themselves_and_simulated_ones_say_so(dashboard: Page) -> None:
    row = dashboard.locator(".market tr[data-symbol=AAPL]")
    expect(row).to_contain_text("simulated")
    expect(row).to_contain_text("now")
    price = row.locator(".price")
    expect(price).not_to_have_text(price.inner_text())


def test_a_simulated_quote_makes_no_symbols_history_simulated(
    server: Server, listened: BrowserContext
) -> None:
    page = listened.new_page()
    # What the server knows of the symbols does not arrive; their quotes do.
    page.route("**/api/v1/symbols/", lambda _route: None)
    page.goto(f"{server.url}/")
    expect(page.locator(".market tr[data-symbol=AAPL]")).to_contain_text("simulated")
    expect(page.locator(".chip").filter(has_text="AAPL")).to_have_text("AAPL×")


def test_a_symbol_is_charted_and_added_to_the_form_from_the_market(dashboard: Page) -> None:
    choose_symbols(dashboard, "KO")
    dashboard.get_by_role("button", name="Add GE to the form").click()
    expect(dashboard.locator(".chip")).to_have_count(2)
    dashboard.locator(".market").get_by_role("button", name="GE", exact=True).click()
    expect(dashboard.locator(".price-canvas canvas").first).to_be_visible()


def test_the_market_is_filtered(dashboard: Page) -> None:
    dashboard.get_by_role("searchbox", name="Filter the symbols").fill("ms")
    expect(dashboard.locator(".market tbody tr:visible")).to_have_count(1)


def test_a_price_trigger_brings_its_result_without_a_click(dashboard: Page) -> None:
    """The first visitor's sample portfolio is watched with a threshold the feed soon reaches."""
    choose_symbols(dashboard, "KO,PG,XOM")
    optimise(dashboard)
    expect(result(dashboard)).to_contain_text("XOM")
    news = dashboard.locator(".notice").filter(has_text="Sample: big technology was optimised")
    # News passes after a while, and comes again at the next move.
    news.get_by_role("button", name="Show").first.click()
    expect(result(dashboard)).to_contain_text("AMZN")


def test_a_portfolio_is_watched_shown_with_its_triggers_and_watched_no_longer(
    dashboard: Page,
) -> None:
    choose_symbols(dashboard, "JNJ,KO,PG,XOM")
    dashboard.get_by_role("tab", name="Watched").click()
    dashboard.get_by_label("Name").fill("Quiet names")
    dashboard.get_by_label("Optimise again when").select_option("drawdown")
    dashboard.get_by_label("Threshold").fill("90")
    dashboard.get_by_role("button", name="Watch", exact=True).click()
    card = dashboard.get_by_role("article", name="Quiet names")
    expect(card.get_by_role("list", name="Triggers")).to_contain_text("of 90.00")
    expect(card.locator(".watch-value")).to_contain_text("simulated")
    expect(card.get_by_role("row", name="JNJ")).to_be_visible()
    card.get_by_role("button", name="Stop watching").click()
    expect(card).to_have_count(0)


def test_a_breached_limit_is_told_as_it_happens(dashboard: Page) -> None:
    choose_symbols(dashboard, "AMD,GE,HD,KO")
    dashboard.get_by_role("tab", name="Watched").click()
    dashboard.get_by_label("Name").fill("Too much of one")
    dashboard.get_by_label("Optimise again when").select_option("concentration")
    dashboard.get_by_label("Threshold").fill("10")
    dashboard.get_by_role("button", name="Watch", exact=True).click()
    alerts = dashboard.get_by_role("region", name="Alerts")
    expect(alerts).to_contain_text("concentration of Too much of one")
    card = dashboard.get_by_role("article", name="Too much of one")
    card.get_by_role("button", name="Stop watching").click()
    expect(card).to_have_count(0)


def test_a_killed_server_that_comes_back_is_found_and_what_was_asked_meanwhile_is_answered(
    data_dir: Path, open_page: Callable[[Server], Page], complaints: list[str]
) -> None:
    with serving(data_dir, FEED="simulated") as first:
        page = open_page(first)
        port = first.address.rpartition(":")[2]
        choose_symbols(page, "AAPL,JNJ,XOM,KO")
        optimise(page)
        result(page)
        kill(first)
        expect(page.get_by_text("Reconnecting")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("Connection lost")
        page.get_by_label("Objective").select_option("minimize_variance")
        optimise(page)
        expect(page.get_by_text("You are offline")).to_be_visible()
    with serving(data_dir, "--port", port, FEED="simulated") as second:
        second.wait_ready()
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        expect(page.get_by_role("status").filter(has_text="Reconnected")).to_be_visible()
        expect(page.get_by_role("heading", name="Minimise variance")).to_be_visible()
        result(page)
        page.close()
    # While the server was away the browser said so, and nothing else.
    assert [text for text in complaints if "net::ERR_CONNECTION_" not in text] == []
    complaints.clear()


def kill(server: Server) -> None:
    """Kill the supervisor at once; its children go with it."""
    processes: list[psutil.Process] = server.processes()
    server.process.send_signal(signal.SIGKILL)
    server.wait()
    assert gone(processes[1:]) == []
