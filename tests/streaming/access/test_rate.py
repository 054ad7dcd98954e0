"""The token bucket, on a clock of the test's own."""

from hypothesis import given
from hypothesis import strategies as st

from streaming.access.rate import WINDOW_SECONDS, TokenBucket


def test_ten_seconds_of_the_rate_may_be_sent_at_once_and_not_one_more() -> None:
    bucket = TokenBucket.full(20.0, now=0.0)
    assert all(bucket.take(0.0) for _ in range(200))
    assert not bucket.take(0.0)


def test_an_empty_bucket_fills_at_the_rate() -> None:
    bucket = TokenBucket.full(20.0, now=0.0)
    while bucket.take(0.0):
        pass
    assert not bucket.take(0.04)
    assert bucket.take(0.06)
    assert not bucket.take(0.06)


def test_a_long_silence_saves_up_no_more_than_ten_seconds() -> None:
    bucket = TokenBucket.full(2.0, now=0.0)
    assert sum(bucket.take(1000.0) for _ in range(100)) == 20


@given(st.floats(1.0, 300.0), st.lists(st.floats(0.0, 2.0), min_size=1, max_size=400))
def test_no_pattern_of_sending_gets_more_than_the_rate_and_one_window(
    rate: float, pauses: list[float]
) -> None:
    bucket, now, taken = TokenBucket.full(rate, now=0.0), 0.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now)
    assert taken <= rate * (now + WINDOW_SECONDS) + 1e-6
