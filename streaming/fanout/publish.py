"""The only place that hands frames to the channel layer, from any process.

A worker or a command has no event loop, so a message is published by the pooled synchronous
client, in the channel layer's own encoding and under its own name for the group.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from pydantic_core import to_json

from marketdata.redis_client import unawaited
from streaming.fanout import history
from streaming.fanout.delivery import Address, Delivery
from streaming.fanout.history import Announcement

PRICES_GROUP = "prices"


def owner_group(owner: str) -> str:
    """Name of an owner's group; group names know no colon."""
    return "owner." + owner.replace(":", ".")


def publish_durable(address: Address, frame: Mapping[str, Any], once: str | None = None) -> None:
    """Number a frame, keep it for clients that resume, and send it to those connected.

    Args:
        address: Who it is for.
        frame: The frame without ``client_id``, ``seq`` and ``epoch``.
        once: A name under which the frame is told only once, however often this is called.
    """
    message = Delivery.of(address, frame, once).encode()
    envelope = {"type": "durable", "owner": address.owner, "message": message}
    history.append(
        address.owner, message, once, _announcement(owner_group(address.owner), envelope)
    )


def publish_ephemeral(
    address: Address, frame: Mapping[str, Any], before: str | None = None
) -> None:
    """Send a frame to those connected and keep nothing.

    Args:
        address: Who it is for.
        frame: The frame without ``client_id``.
        before: The ``once`` of a durable frame after which this one means nothing any more.
    """
    message = Delivery.of(address, frame, before=before).encode()
    _group_send(
        owner_group(address.owner),
        {"type": "ephemeral", "owner": address.owner, "message": message},
    )


def publish_prices(prices: Mapping[str, Mapping[str, Any]], ticks: int) -> None:
    """Send newest prices to every subscriber of prices.

    Args:
        prices: ``protocol.PricePoint`` documents by symbol.
        ticks: How many quotes have been recorded with them; tells a reader what it did not hear.
    """
    _group_send(PRICES_GROUP, {"type": "prices", "prices": to_json(prices), "ticks": ticks})


@cache
def _serializer() -> Any:
    return get_channel_layer()


def _channel(group: str) -> str:
    """The layer's own name for a group."""
    return f"{settings.CHANNEL_LAYER_PREFIX}__group__{group}"


def _group_send(group: str, message: Mapping[str, Any]) -> None:
    """Do what the layer's ``group_send`` does, without an event loop and without waiting."""
    unawaited.send("PUBLISH", _channel(group), _serializer().serialize(dict(message)))


def _announcement(group: str, message: Mapping[str, Any]) -> Announcement:
    """The same for a message whose ``place`` is known only once it is numbered.

    Raises:
        ValueError: The layer's encoding does not end with a message's last value.
    """
    place = "0" * Announcement.PLACE_LENGTH
    whole: bytes = _serializer().serialize({**message, "place": place})
    head = whole.removesuffix(place.encode())
    if head == whole:
        raise ValueError("the channel layer must encode messages as msgpack, without encryption")
    return Announcement(_channel(group), head)
