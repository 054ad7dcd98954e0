"""When a time-based rule is due next."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from celery.schedules import crontab

from optimization.watching.rules import TimeBasedRule


def next_due(rule: TimeBasedRule, last_run: float) -> float:
    """Epoch seconds at which a rule is due after a run at ``last_run``."""
    if rule.interval is not None:
        return last_run + rule.interval
    assert rule.cron is not None  # noqa: S101 - the rule has either
    return _next_cron(rule.cron, last_run)


@lru_cache(maxsize=100_000)
def _next_cron(text: str, last_run: float) -> float:
    last = datetime.fromtimestamp(last_run, UTC)
    fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    schedule = crontab(**dict(zip(fields, text.split(), strict=True)), nowfun=lambda: last)
    start, delta, _now = schedule.remaining_delta(last)
    due: datetime = start + delta
    if due <= last:
        due = last + timedelta(minutes=1)
    return due.timestamp()
