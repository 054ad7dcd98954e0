"""``manage.py post_event``."""

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from optimization.watching.events import MarketEvent, take_events

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_server", "market")]


def test_an_event_is_handed_to_the_watcher(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("post_event", "Apple reports", "AAPL")
    assert capsys.readouterr().out == "Posted: Apple reports (AAPL)\n"
    assert list(take_events()) == [MarketEvent("Apple reports", ("AAPL",))]


def test_a_symbol_without_prices_is_refused_by_its_name() -> None:
    with pytest.raises(CommandError, match="no prices of 'AAPLE'; did you mean AAPL"):
        call_command("post_event", "Apple reports", "AAPLE")
    assert list(take_events()) == []
