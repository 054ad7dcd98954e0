"""Rules for ticks."""

import math

import pytest

from marketdata.models import Source
from marketdata.quarantine import Limits, Reason, TickFilter, refuse
from marketdata.quotes import Quote

NOW = 1_700_000_000.0


def tick(price: float, timestamp: float = NOW, symbol: str = "AAPL") -> Quote:
    return Quote(symbol, price, timestamp, Source.REAL, "test")


@pytest.mark.parametrize(
    ("quote", "reason"),
    [
        (tick(100.0), None),
        (tick(149.9), None),
        (tick(50.1), None),
        (tick(math.nan), Reason.NOT_A_NUMBER),
        (tick(math.inf), Reason.NOT_A_NUMBER),
        (tick(100.0, math.nan), Reason.NOT_A_NUMBER),
        (tick(0.0), Reason.NOT_POSITIVE),
        (tick(-1.0), Reason.NOT_POSITIVE),
        (tick(100.0, NOW - 60), None),
        (tick(100.0, NOW - 61), Reason.STALE),
        (tick(100.0, NOW + 5), None),
        (tick(100.0, NOW + 6), Reason.AHEAD),
        (tick(190.0), Reason.JUMP),
        (tick(10.0), Reason.JUMP),
    ],
)
def test_each_rule_refuses_its_own_kind(quote: Quote, reason: Reason | None) -> None:
    assert refuse(quote, 100.0, NOW, Limits()) is reason


def test_a_first_price_cannot_jump() -> None:
    assert refuse(tick(1e9), None, NOW, Limits()) is None


def test_good_ticks_pass_and_bad_ones_are_kept_with_their_reason() -> None:
    rules = TickFilter.starting_at({"AAPL": 100.0}, Limits())
    batch = rules.sort([tick(101.0), tick(-1.0), tick(50.0, symbol="NEW"), tick(9.0)], NOW)
    assert [quote.price for quote in batch.accepted] == [101.0, 50.0]
    assert [(r.quote.price, r.reason, r.previous_price) for r in batch.refused] == [
        (-1.0, Reason.NOT_POSITIVE, 101.0),
        (9.0, Reason.JUMP, 101.0),
    ]


def test_duplicates_and_ticks_out_of_order_never_replace_a_newer_price() -> None:
    rules = TickFilter()
    batch = rules.sort([tick(100, NOW), tick(100, NOW), tick(99, NOW - 1), tick(101, NOW + 1)], NOW)
    assert [quote.price for quote in batch.accepted] == [100, 101]
    assert batch.superseded == 2
    assert batch.refused == ()


def test_a_new_level_is_believed_after_enough_ticks_agree() -> None:
    rules = TickFilter.starting_at({"AAPL": 100.0}, Limits(confirmations=3))
    results = [rules.sort([tick(10.0 + i / 100, NOW + i)], NOW + i) for i in range(5)]
    assert [len(result.refused) for result in results] == [1, 1, 1, 0, 0]


def test_wild_ticks_that_do_not_agree_stay_refused() -> None:
    rules = TickFilter.starting_at({"AAPL": 100.0}, Limits(confirmations=3))
    prices = [10.0, 300.0, 20.0, 500.0, 5.0, 900.0]
    results = [rules.sort([tick(p, NOW + i)], NOW + i) for i, p in enumerate(prices)]
    assert all(len(result.refused) == 1 for result in results)
    assert len(rules.sort([tick(100.5, NOW + 9)], NOW + 9).accepted) == 1
