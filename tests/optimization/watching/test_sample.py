"""What a first visitor finds watched: portfolios that have an answer, and their own once begun."""

import pytest

from marketdata.models import DataVersion
from marketdata.sample import sample_load
from optimization.engine.problem import Constraints, Method, Objective
from optimization.models import Portfolio, Status, Trigger
from optimization.queue.lanes import Lane
from optimization.services import request_submit
from optimization.submissions import LOCAL_OWNER, Owner, Submission
from optimization.watching.portfolios import WatchOrder, portfolio_watch
from optimization.watching.sample import SAMPLES, watch_sample_portfolios
from tests.working import run_next

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_server")]


@pytest.fixture
def sample_market() -> None:
    sample_load()


@pytest.mark.usefixtures("sample_market")
def test_every_sample_portfolio_is_watched_and_has_an_answer() -> None:
    watched = watch_sample_portfolios()
    assert [portfolio.name for portfolio in watched] == list(SAMPLES)
    for portfolio in watched:
        submission = Submission(
            owner=Owner(LOCAL_OWNER),
            client_id="watcher",
            symbols=tuple(portfolio.symbols),
            objective=Objective(portfolio.objective),
            constraints=Constraints(max_weight=0.4),
            method=Method(portfolio.method),
            trigger=Trigger.PRICE_CHANGE,
            portfolio_id=portfolio.portfolio_id,
        )
        request_submit(submission)
        request = run_next(Lane.CONVEX)
        assert request is not None
        assert request.status == Status.SUCCEEDED, request.error
        portfolio.refresh_from_db()
        assert portfolio.optimized_at is not None
        assert sum(portfolio.target_weights) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.usefixtures("sample_market")
def test_the_calmer_sample_portfolios_have_the_higher_thresholds() -> None:
    """Their turns lie apart only if they do not all fire at the first move."""
    thresholds = [portfolio.rules[0]["threshold"] for portfolio in watch_sample_portfolios()]
    assert thresholds == sorted(set(thresholds))


@pytest.mark.usefixtures("sample_market")
def test_who_has_watched_a_portfolio_of_their_own_is_given_none() -> None:
    order = WatchOrder(owner=Owner(LOCAL_OWNER), name="Mine", symbols=("AAPL", "KO"))
    portfolio_watch(order)
    assert watch_sample_portfolios() == []
    assert [portfolio.name for portfolio in Portfolio.objects.all()] == ["Mine"]


def test_a_market_without_their_symbols_does_without_them(market: DataVersion) -> None:
    assert market.name
    watched = {portfolio.name for portfolio in watch_sample_portfolios()}
    assert "Sample: energy and banks" not in watched
