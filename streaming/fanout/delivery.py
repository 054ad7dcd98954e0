"""A frame on its way from the publisher to those it is for."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from pydantic_core import from_json, to_json

from streaming.fanout.history import Place
from streaming.protocol import Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Who a frame is for.

    Attributes:
        owner: Whose frame it is; nobody else ever gets it.
        topic: Subscribers of this topic get it.
        client_id: This connection gets it besides, subscribed or not.
        subject: What the topic may be narrowed to, e.g. a portfolio's id.
    """

    owner: str
    topic: Topic
    client_id: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One frame and who it is for.

    Attributes:
        address: Who it is for.
        text: The frame as JSON, complete but for the receiving client's id.
        once: A name under which one client gets it only once, or None.
        before: The ``once`` of a frame after which this one means nothing any more, or None.
    """

    address: Address
    text: str
    once: str | None = None
    before: str | None = None

    def encode(self) -> bytes:
        """The delivery as bytes, for Redis."""
        document = {name: getattr(self, name) for name in _WRITTEN}
        return to_json({**document, "address": {n: getattr(self.address, n) for n in _ADDRESSED}})

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """What ``encode`` gave."""
        document = from_json(message)
        return cls(**{**document, "address": Address(**document["address"])})

    @classmethod
    def of(
        cls,
        address: Address,
        frame: Mapping[str, Any],
        once: str | None = None,
        before: str | None = None,
    ) -> Self:
        """A frame without ``client_id``, ``seq`` and ``epoch``, on its way."""
        return cls(address=address, text=to_json(frame).decode(), once=once, before=before)

    def at(self, place: Place) -> Self:
        """The same with its place in the owner's history, which names it if nothing else does."""
        tail = f',"seq":{place.seq},"epoch":"{place.epoch}"}}'
        once = self.once or f"{place.epoch}:{place.seq}"
        return replace(self, text=self.text[:-1] + tail, once=once)


# dataclasses.asdict copies each value deeply, and a frame's text is long.
_WRITTEN = tuple(field.name for field in fields(Delivery))
_ADDRESSED = tuple(field.name for field in fields(Address))
