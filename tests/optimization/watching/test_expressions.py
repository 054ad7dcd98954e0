"""The little language of custom rules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimization.watching.expressions import MAX_LENGTH, Expression, ExpressionError

NAMES = ("drawdown", "volatility", "cvar")


def holds(text: str, **quantities: float) -> bool:
    return bool(Expression(text, NAMES).holds(quantities))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("drawdown > 0.1 and volatility > 0.25", True),
        ("drawdown > 0.3 and volatility > 0.25", False),
        ("drawdown > 0.3 or volatility > 0.25", True),
        ("not drawdown > 0.3", True),
        ("0.1 < drawdown < 0.3", True),
        ("0.1 < drawdown < 0.15", False),
        ("drawdown * 2 + volatility / 3 - 0.4 >= 0.09", True),
        ("-drawdown <= -0.2", True),
    ],
)
def test_a_rule_means_what_python_means_by_it(text: str, expected: bool) -> None:
    assert holds(text, drawdown=0.2, volatility=0.3) is expected


def test_a_rule_is_evaluated_over_arrays_at_once() -> None:
    rule = Expression("drawdown > 0.1 and volatility > 0.25", NAMES)
    found = rule.holds(
        {"drawdown": np.array([0.2, 0.05, np.nan]), "volatility": np.array([0.3, 0.3, 0.3])}
    )
    assert found.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not an expression"),
        ("drawdown", "compare something"),
        ("drawdown >", "not an expression"),
        ("drawdown > 0.1 and 1", "compare something"),
        ("(drawdown > 0.1) > 0.5", "only numbers"),
        ("__import__('os').system('true') > 1", "only numbers"),
        ("drawdown.real > 1", "only numbers"),
        ("9 ** 9 ** 9 > 1", "only numbers"),
        ("[drawdown for drawdown in 'a'] > 1", "only numbers"),
        ("(lambda: 1) > 1", "only numbers"),
        ("drawdown == 0.1", "comparisons are"),
        ("drawdown is 0.1", "comparisons are"),
        ("True > 0", "only numbers"),
        ("'a' > 0", "only numbers"),
        ("price > 0", "'price' is not a quantity; cvar, drawdown, volatility are"),
        ("drawdown > " + "9" * 400, "a number is too large"),
        ("(" * 300 + "drawdown", "not an expression"),
        ("drawdown > 0" + " + 1" * 60, "too long"),
        ("drawdown > 0.1" + " " * MAX_LENGTH, "at most 500"),
    ],
)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_what_is_not_a_rule_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason.replace("*", r"\*")):
        Expression(text, NAMES)


def test_a_division_by_zero_does_not_hold_and_does_not_raise() -> None:
    assert not holds("drawdown / volatility < 1", drawdown=0.0, volatility=0.0)


@given(st.text(alphabet="drawdownvltiy0123456789.+-*/<>=()[]{}:, andorqn_'\"\\\n", max_size=80))
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        rule = Expression(text, NAMES)
    except ExpressionError:
        return
    rule.holds({"drawdown": 0.1, "volatility": 0.2, "cvar": 0.3})
