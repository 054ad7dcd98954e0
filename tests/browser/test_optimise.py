"""From the form to the result, and everything that may come between."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.steps import (
    choose_method,
    choose_symbols,
    fill_long_problem,
    open_advanced,
    optimise,
    percent,
    result,
)
from tests.e2e.harness import Server

pytestmark = pytest.mark.browser


def test_a_request_is_queued_then_followed_while_it_runs_and_its_result_is_drawn(
    dashboard: Page, server: Server, open_page: Callable[[Server], Page]
) -> None:
    other = open_page(server)
    fill_long_problem(other, seconds=60)
    optimise(other)
    expect(other.get_by_text("Running for")).to_be_visible()

    fill_long_problem(dashboard, seconds=3)
    optimise(dashboard)
    expect(dashboard.locator(".stages .now")).to_have_text("Queued")
    facts = dashboard.locator(".live-facts")
    expect(facts).to_contain_text("Position1")
    expect(facts).to_contain_text("about")
    expect(facts).to_contain_text("heuristic")

    other.get_by_role("button", name="Cancel").click()
    expect(other.get_by_role("heading", name="Cancelled")).to_be_visible()

    expect(dashboard.locator(".stages .now")).to_have_text("Running")
    expect(dashboard.locator(".convergence canvas")).to_be_visible()
    drawn = result(dashboard)
    expect(drawn.locator("tfoot td.number")).to_have_text("100.00 %", use_inner_text=True)
    expect(drawn.locator(".metric")).to_have_count(10)
    expect(drawn.locator(".convergence canvas")).to_be_visible()


def test_weights_risk_metrics_and_what_binds_are_shown_with_units(dashboard: Page) -> None:
    choose_symbols(dashboard, "AAPL,JNJ,XOM,KO")
    dashboard.get_by_label("Maximum weight").fill("40")
    optimise(dashboard)
    drawn = result(dashboard)
    weights = drawn.locator(".weights tbody tr td:nth-of-type(2)").all_inner_texts()
    risks = drawn.locator(".weights tbody tr td:nth-of-type(3)").all_inner_texts()
    assert sum(map(percent, weights)) == pytest.approx(1, abs=2e-4)
    assert sum(map(percent, risks)) == pytest.approx(1, abs=2e-3)
    assert max(map(percent, weights)) <= 0.4
    expect(drawn.locator(".metric", has_text="Volatility")).to_contain_text("%")
    expect(drawn.locator(".metric", has_text="Optimality gap")).to_contain_text("certified")
    expect(drawn.locator(".binding").first).to_contain_text("largest weight of")


def test_a_second_result_shows_the_change_against_the_first(dashboard: Page) -> None:
    choose_symbols(dashboard, "AAPL,JNJ,XOM,KO")
    optimise(dashboard)
    expect(result(dashboard).get_by_role("columnheader", name="Change")).to_have_count(0)
    dashboard.get_by_label("Objective").select_option("minimize_variance")
    optimise(dashboard)
    expect(dashboard.get_by_role("heading", name="Minimise variance")).to_be_visible()
    expect(result(dashboard).get_by_role("columnheader", name="Change")).to_be_visible()
    expect(dashboard.locator(".delta.better").first).to_be_visible()


def test_a_running_request_is_cancelled(dashboard: Page) -> None:
    fill_long_problem(dashboard, seconds=60)
    optimise(dashboard)
    expect(dashboard.get_by_text("Running for")).to_be_visible()
    dashboard.get_by_role("button", name="Cancel").click()
    expect(dashboard.get_by_role("heading", name="Cancelled")).to_be_visible()
    expect(dashboard.get_by_role("button", name="Run again")).to_be_visible()


def test_a_refusal_stands_at_its_field_with_the_mend_and_goes_once_it_is_mended(
    dashboard: Page,
) -> None:
    choose_symbols(dashboard, "AAPL,JNJ,XOM")
    weight = dashboard.get_by_label("Maximum weight")
    weight.fill("10")
    optimise(dashboard)
    expect(weight).to_have_attribute("aria-invalid", "true")
    message = dashboard.locator("#field-constraints-max_weight-error")
    # In the form's own words and unit: its numbers are percentages.
    expect(message).to_contain_text("raise “Maximum weight” to at least 33.3334 %")
    expect(dashboard.get_by_role("alert")).to_contain_text("Invalid optimization request")
    dashboard.locator(".failure").get_by_role("link", name="Maximum weight").click()
    expect(weight).to_be_focused()
    weight.fill("33.3334")
    expect(message).to_have_count(0)
    optimise(dashboard)
    result(dashboard)


def test_an_unknown_symbol_is_marked_among_the_others(dashboard: Page) -> None:
    choose_symbols(dashboard, "AAPL,NOPE,MSFT,KO")
    optimise(dashboard)
    expect(dashboard.locator(".chip.wrong")).to_contain_text("NOPE")
    expect(dashboard.locator("#field-symbols-errors")).to_contain_text("NOPE")
    dashboard.get_by_role("button", name="Remove NOPE").click()
    optimise(dashboard)
    result(dashboard)


def test_what_is_no_number_is_not_sent(dashboard: Page) -> None:
    dashboard.get_by_label("Maximum weight").fill("forty")
    optimise(dashboard)
    expect(dashboard.locator("#field-constraints-max_weight-error")).to_contain_text(
        "is not a number"
    )
    expect(dashboard.get_by_label("Maximum weight")).to_be_focused()
    expect(dashboard.get_by_role("heading", name="No optimisation yet")).to_be_visible()


def test_every_constraint_of_the_form_reaches_the_server(dashboard: Page) -> None:
    sent: list[dict[str, object]] = []

    def heard(payload: str | bytes) -> None:
        frame = json.loads(payload)
        if frame["type"] == "optimization_request":
            sent.append(frame["data"])

    dashboard.on("websocket", lambda socket: socket.on("framesent", heard))
    dashboard.reload()
    expect(dashboard.get_by_text("Live", exact=True)).to_be_visible()
    choose_symbols(dashboard, "AAPL,JNJ,XOM,KO")
    open_advanced(dashboard)
    for label, value in {
        "Minimum weight": "1",
        "Maximum weight": "60",
        "CVaR tail": "10",
        "Return at least": "1",
        "Volatility at most": "45",
        "Tracking error at most": "40",
        "Leverage at most": "1.5",
        "Positions at most": "4",
        "Smallest position": "1",
        "Turnover at most": "200",
        "Trading cost": "5",
        "Lookback": "200",
        "Risk-free rate": "2",
        "Max of AAPL, %": "55",
        "Min of AAPL, %": "2",
        "Held now of KO, %": "100",
        "Benchmark of XOM, %": "100",
        "Cost of KO, bp": "7",
    }.items():
        dashboard.get_by_label(label, exact=True).fill(value)
    dashboard.get_by_label("Covariance").select_option("ledoit_wolf")
    dashboard.get_by_role("button", name="+ Add a group").click()
    dashboard.get_by_label("Name", exact=True).fill("Staples")
    dashboard.get_by_label("At most", exact=True).fill("80")
    dashboard.get_by_label("Members").get_by_label("KO").check()
    optimise(dashboard)
    expect(dashboard.locator(".run")).to_be_visible()
    (data,) = sent
    assert data["symbols"] == ["AAPL", "JNJ", "XOM", "KO"]
    assert data["parameters"] == {
        "lookback": 200,
        "risk_free_rate": 0.02,
        "covariance": "ledoit_wolf",
    }
    assert data["constraints"] == {
        "long_only": True,
        "sum_to_one": True,
        "min_weight": 0.01,
        "max_weight": 0.6,
        "cvar_confidence": 0.1,
        "target_return": 0.01,
        "target_volatility": 0.45,
        "max_tracking_error": 0.4,
        "max_leverage": 1.5,
        "max_assets": 4,
        "min_position": 0.01,
        "max_turnover": 2,
        "transaction_costs": {"AAPL": 0.0005, "JNJ": 0.0005, "XOM": 0.0005, "KO": 0.0007},
        "asset_bounds": {"AAPL": {"min_weight": 0.02, "max_weight": 0.55}},
        "current_weights": {"KO": 1},
        "benchmark_weights": {"XOM": 1},
        "groups": [{"name": "Staples", "symbols": ["KO"], "max_weight": 0.8}],
    }


def test_methods_are_compared_side_by_side(dashboard: Page) -> None:
    choose_symbols(dashboard, "AAPL,JNJ,XOM,KO")
    dashboard.get_by_role("tab", name="Compare").click()
    dashboard.get_by_role("checkbox", name="Particle swarm").uncheck()
    dashboard.get_by_role("button", name="Compare", exact=True).click()
    table = dashboard.locator(".comparison")
    sharpe = table.get_by_role("row", name="Sharpe ratio").get_by_role("cell")
    expect(sharpe).to_have_count(3)
    for cell in sharpe.all():
        expect(cell).to_contain_text(".")
    expect(table.get_by_role("row", name="Time")).to_contain_text("(best)")
    expect(dashboard.locator(".risk-return .point")).to_have_count(3)


def test_the_frontier_is_traced_with_the_portfolio_on_it(dashboard: Page) -> None:
    choose_symbols(dashboard, "AAPL,JNJ,XOM,KO")
    optimise(dashboard)
    drawn = result(dashboard)
    drawn.get_by_role("button", name="Trace the frontier").click()
    expect(drawn.locator(".frontier-section .frontier")).to_be_visible()
    expect(drawn.locator(".frontier-section .point.main")).to_be_visible()


def test_a_result_is_saved_as_csv_and_as_png(dashboard: Page) -> None:
    choose_symbols(dashboard, "AAPL,GOOGL,XOM")
    optimise(dashboard)
    drawn = result(dashboard)
    expect(dashboard.locator(".run-head")).to_contain_text("simulated data")
    with dashboard.expect_download() as table:
        drawn.get_by_role("button", name="CSV").click()
    rows = list(csv.reader(io.StringIO(Path(table.value.path()).read_text())))
    assert rows[0] == ["symbol", "weight", "risk_contribution", "data_source"]
    assert [row[0] for row in rows[1:4]] == ["AAPL", "GOOGL", "XOM"]
    assert [row[3] for row in rows[1:4]] == ["real", "simulated", "real"]
    assert sum(float(row[1]) for row in rows[1:4]) == pytest.approx(1)
    with dashboard.expect_download() as picture:
        drawn.get_by_role("button", name="PNG").click()
    assert Path(picture.value.path()).read_bytes().startswith(b"\x89PNG")


def test_the_history_is_searched_and_a_recorded_result_opens_after_a_reload(
    dashboard: Page,
) -> None:
    choose_symbols(dashboard, "RRC,UNH,KO")
    choose_method(dashboard, "Simulated annealing")
    optimise(dashboard)
    result(dashboard)
    dashboard.reload()
    expect(dashboard.get_by_text("Live", exact=True)).to_be_visible()
    dashboard.get_by_role("tab", name="History").click()
    dashboard.get_by_role("searchbox", name="Search the history").fill("RRC annealing")
    rows = dashboard.locator(".history-table tbody tr")
    expect(rows.first).to_contain_text("succeeded")
    rows.first.get_by_role("button").click()
    drawn = result(dashboard)
    expect(drawn.locator(".weights")).to_contain_text("RRC")


def test_the_form_is_kept_over_a_reload(dashboard: Page) -> None:
    choose_symbols(dashboard, "AAPL,KO")
    dashboard.get_by_label("Maximum weight").fill("70")
    dashboard.reload()
    expect(dashboard.get_by_label("Maximum weight")).to_have_value("70")
    expect(dashboard.locator(".chip")).to_have_count(2)
