"""Numbers and names of a request's parameters."""

from typing import Any

import pytest

from optimization.engine.errors import InvalidProblemError
from optimization.engine.parameters import number, refuse_unknown, whole


def test_what_is_given_counts_and_what_is_not_has_a_default() -> None:
    assert whole({"layers": 3}, "layers", 8, 1, 50) == 3
    assert whole({}, "layers", 8, 1, 50) == 8
    assert number({"alpha": 1}, "alpha", 0.2, 0.0, 1.0) == 1.0
    assert number({}, "alpha", 0.2, 0.0, 1.0) == 0.2


@pytest.mark.parametrize("value", [0, 51, 1.5, 2.0, True, "3", None, float("nan")])
def test_what_is_no_whole_number_in_range_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidProblemError, match="between 1 and 50") as refusal:
        whole({"layers": value}, "layers", 8, 1, 50)
    assert refusal.value.fields == ("parameters.layers",)


@pytest.mark.parametrize("value", [-0.1, 1.1, True, "0.5", None, float("nan"), float("inf")])
def test_what_is_no_number_in_range_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidProblemError, match="between 0 and 1") as refusal:
        number({"alpha": value}, "alpha", 0.2, 0.0, 1.0)
    assert refusal.value.fields == ("parameters.alpha",)


def test_an_unknown_name_is_refused_and_the_known_ones_are_told() -> None:
    refuse_unknown({"alpha": 0.1, "seed": 7, "lookback": 252}, ("alpha", "layers"))
    with pytest.raises(InvalidProblemError, match="it takes alpha, layers and seed") as refusal:
        refuse_unknown({"depth": 3}, ("alpha", "layers"))
    assert refusal.value.fields == ("parameters.depth",)
