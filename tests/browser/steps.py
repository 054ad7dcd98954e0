"""What a person does on the page, in a person's words."""

import re

from playwright.sync_api import Locator, Page, expect

LONG_SYMBOLS = "AAPL,AMD,BAC,BBY,CVX,GE,HD,JNJ,JPM,KO,LLY,MRK,MSFT,PEP,PFE,PG,RRC,UNH,WMT,XOM"


def choose_symbols(page: Page, symbols: str) -> None:
    """Replace the symbols by a pasted list."""
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("combobox", name="Symbols").fill(f"{symbols},")


def choose_method(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).check()


def optimise(page: Page) -> None:
    page.get_by_role("button", name="Optimise", exact=True).click()


def fill_long_problem(page: Page, seconds: int) -> None:
    """A problem that a swarm works on for as long as it is given."""
    choose_symbols(page, LONG_SYMBOLS)
    page.get_by_label("Objective").select_option("minimize_value_at_risk")
    choose_method(page, "Particle swarm")
    open_advanced(page)
    page.get_by_label("Time limit").fill(str(seconds))
    page.get_by_label("Iterations").fill("1000000")
    page.get_by_label("Good enough gap").fill("0")


def open_advanced(page: Page) -> None:
    summary = page.locator(".advanced > summary")
    if page.locator(".advanced[open]").count() == 0:
        summary.click()


def result(page: Page) -> Locator:
    """The drawn result, once it is there."""
    weights = page.get_by_role("heading", name="Weights")
    expect(weights).to_be_visible()
    return page.locator(".result")


def percent(text: str) -> float:
    """``12.34 %`` as a fraction."""
    number = re.sub(r"[^\d.−-]", "", text).replace("−", "-")
    return float(number) / 100
