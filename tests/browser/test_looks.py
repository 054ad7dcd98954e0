"""For every eye and hand: sizes, themes, keyboard, assistive technology."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ARTIFACTS, AXE, listen
from tests.browser.steps import choose_symbols, open_advanced, optimise, result
from tests.e2e.harness import Server

pytestmark = pytest.mark.browser

WIDTHS = {360: 780, 768: 1024, 1920: 1080}


@pytest.fixture(params=WIDTHS, ids=lambda width: f"{width}px")
def width(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=["light", "dark"])
def sized(
    request: pytest.FixtureRequest,
    browser: Browser,
    server: Server,
    width: int,
    complaints: list[str],
) -> Iterator[Page]:
    """The page at one width in one colour scheme."""
    scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme
    )
    listen(context, complaints)
    page = context.new_page()
    page.add_init_script(path=AXE)
    page.goto(f"{server.url}/")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    expect(page.locator(".market tbody tr").first).to_be_visible()
    yield page
    context.close()
    assert complaints == []


def test_nothing_is_cut_off_and_every_state_is_accessible(
    sized: Page, width: int, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id

    def look(state: str) -> None:
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        sized.screenshot(path=ARTIFACTS / f"{name}-{state}.png", full_page=True)
        assert sized.evaluate("() => document.documentElement.scrollWidth") <= width, state
        assert squeezed(sized) == [], state
        assert serious_violations(sized) == [], state

    look("empty")
    choose_symbols(sized, "AAPL,GOOGL,JNJ,JPM,XOM")
    optimise(sized)
    result(sized)
    sized.get_by_role("button", name="Trace the frontier").click()
    expect(sized.locator(".frontier-section .frontier")).to_be_visible()
    look("result")
    open_advanced(sized)
    look("advanced")
    sized.get_by_label("Maximum weight").fill("5")
    optimise(sized)
    expect(sized.get_by_role("alert")).to_be_visible()
    look("refused")
    sized.get_by_label("Maximum weight").fill("40")
    sized.get_by_role("tab", name="Compare").click()
    sized.get_by_role("button", name="Compare", exact=True).click()
    expect(sized.locator(".risk-return .point")).to_have_count(4)
    look("compare")
    sized.get_by_role("tab", name="Watched").click()
    expect(sized.locator(".watch-card").first).to_be_visible()
    look("watched")
    sized.get_by_role("tab", name="History").click()
    expect(sized.locator(".history-table tbody tr").first).to_be_visible()
    look("history")


def squeezed(page: Page) -> list[str]:
    """Cells of the first prices that overlap the next one, or stick out of their panel."""
    found: list[str] = page.evaluate(
        """() => {
            const edge = document.querySelector(".market").getBoundingClientRect().right;
            const rows = [...document.querySelectorAll(".prices tbody tr")].slice(0, 4);
            return rows.flatMap((row) => {
                const cells = [...row.children].filter((cell) => cell.offsetWidth > 0);
                return cells.filter((cell, i) => {
                    const next = cells[i + 1]?.getBoundingClientRect().left ?? edge;
                    const needed = document.createRange();
                    needed.selectNodeContents(cell);
                    return needed.getBoundingClientRect().right > next;
                }).map((cell) => `${row.dataset.symbol}: ${cell.className || cell.textContent}`);
            });
        }"""
    )
    return found


def serious_violations(page: Page) -> list[str]:
    """What axe-core calls serious or critical, with the places."""
    report: dict[str, Any] = page.evaluate("() => axe.run()")
    return [
        f"{violation['id']}: {[node['target'] for node in violation['nodes']]}"
        for violation in report["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]


def test_the_whole_way_is_open_to_the_keyboard(dashboard: Page) -> None:
    keyboard = dashboard.keyboard
    keyboard.press("Tab")
    expect(dashboard.get_by_role("link", name="Skip to the form")).to_be_focused()
    keyboard.press("Enter")
    symbols = dashboard.get_by_role("combobox", name="Symbols")
    expect(symbols).to_be_focused()
    keyboard.type("chev")
    expect(dashboard.get_by_role("option").first).to_contain_text("CVX")
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    expect(dashboard.locator(".chip", has_text="CVX")).to_be_visible()
    keyboard.press("Backspace")
    expect(dashboard.locator(".chip", has_text="CVX")).to_have_count(0)
    dashboard.get_by_label("Maximum weight").focus()
    keyboard.press("Enter")
    result(dashboard)
    dashboard.get_by_role("tab", name="Result").focus()
    keyboard.press("ArrowRight")
    expect(dashboard.get_by_role("tab", name="Compare")).to_be_focused()
    expect(dashboard.get_by_role("tabpanel")).to_contain_text("Nothing to compare yet")


def test_the_chosen_theme_is_kept(dashboard: Page) -> None:
    root = dashboard.locator("html")
    expect(root).to_have_attribute("data-theme", "light")
    dashboard.get_by_role("button", name="Use the dark theme").click()
    expect(root).to_have_attribute("data-theme", "dark")
    dashboard.reload()
    expect(root).to_have_attribute("data-theme", "dark")
