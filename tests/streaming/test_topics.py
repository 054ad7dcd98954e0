"""Topics, whole and narrowed."""

import pytest

from streaming.protocol import Topic
from streaming.topics import Subscription, TopicError


@pytest.mark.parametrize("topic", list(Topic))
def test_a_topic_of_the_specification_is_read_and_written_alike(topic: Topic) -> None:
    assert Subscription.parse(topic.value) == Subscription(topic)
    assert str(Subscription.parse(topic.value)) == topic.value


@pytest.mark.parametrize("name", ["price_updates:AAPL", "price_updates:BRK.B", "risk_alerts:a:b"])
def test_a_topic_may_be_narrowed_to_one_subject(name: str) -> None:
    subscription = Subscription.parse(name)
    assert subscription.subject == name.partition(":")[2]
    assert str(subscription) == name


@pytest.mark.parametrize("name", ["", "prices", "PRICE_UPDATES", " price_updates", ":AAPL", "*"])
def test_an_unknown_topic_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(TopicError, match="portfolio_updates, price_updates, risk_alerts"):
        Subscription.parse(name)


def test_a_colon_without_a_subject_is_refused() -> None:
    with pytest.raises(TopicError, match="no subject"):
        Subscription.parse("price_updates:")
