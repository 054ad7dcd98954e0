"""What a client may subscribe to."""

from dataclasses import dataclass
from typing import Self

from streaming.protocol import ErrorCode, Topic


class TopicError(ValueError):
    """A topic that does not exist or may not be heard."""

    code = ErrorCode.UNKNOWN_TOPIC


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic, whole or narrowed to one subject.

    Attributes:
        topic: What.
        subject: A symbol or a portfolio's id, or None for the whole topic.
    """

    topic: Topic
    subject: str | None = None

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read ``TOPIC`` or ``TOPIC:SUBJECT``.

        Raises:
            TopicError: The topic is unknown or its subject is empty.
        """
        head, colon, subject = name.partition(":")
        try:
            topic = Topic(head)
        except ValueError as error:
            names = ", ".join(Topic)
            raise TopicError(f"{name!r} is not a topic; topics: {names}") from error
        if colon and not subject:
            raise TopicError(f"{name!r} names no subject after the colon")
        return cls(topic, subject or None)

    def __str__(self) -> str:
        return self.topic.value if self.subject is None else f"{self.topic}:{self.subject}"
