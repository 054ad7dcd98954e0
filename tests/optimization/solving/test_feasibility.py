"""What is refused before it is queued, and what of that is remembered."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from optimization.engine.problem import Constraints, Objective
from optimization.errors import InvalidRequestError, MarketDataUnavailableError
from optimization.models import OptimizationRequest
from optimization.solving.feasibility import check_again, check_request
from optimization.solving.problems import data_version
from optimization.submissions import constraints_document

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("market", "redis_server"),
]


def asked(**changed: Any) -> OptimizationRequest:
    fields = {
        "method": "mean_variance",
        "objective": Objective.MINIMIZE_VARIANCE.value,
        "symbols": ["AAPL", "KO"],
        "parameters": {"lookback": 252},
    }
    return OptimizationRequest(**{**fields, **changed})


def test_what_passed_once_passes_again_on_the_same_data() -> None:
    first = check_again(asked())
    assert first == data_version.get()
    assert check_again(asked()) == first == check_request(asked()).window.data_version


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"symbols": ["AAPL", "NOBODY"]}, MarketDataUnavailableError),
        ({"parameters": {"lookback": 20_000}}, MarketDataUnavailableError),
        (
            {"constraints": constraints_document(Constraints(max_weight=0.1))},
            InvalidRequestError,
        ),
        (
            {
                "objective": "maximize_sharpe",
                "parameters": {"lookback": 252, "risk_free_rate": 9.0},
            },
            InvalidRequestError,
        ),
        ({"method": "qaoa", "objective": "risk_parity"}, InvalidRequestError),
    ],
)
def test_whatever_passed_before_a_request_that_differs_is_refused_each_time(
    changed: dict[str, Any], error: type[Exception]
) -> None:
    check_again(asked())
    for _ in range(2):
        with pytest.raises(error):
            check_again(asked(**changed))


def test_another_default_lookback_is_another_request(settings: Settings) -> None:
    settings.DEFAULT_LOOKBACK = 100
    assert check_again(asked(parameters={}))
    settings.DEFAULT_LOOKBACK = 20_000
    with pytest.raises(MarketDataUnavailableError):
        check_again(asked(parameters={}))
