"""What each client frame does."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from optimization import services
from optimization.errors import RequestError
from optimization.models import Portfolio
from optimization.services import Receipt
from optimization.watching import portfolios
from optimization.watching.portfolios import PortfolioStanding
from streaming.decoding import FrameError, Message
from streaming.executor import run_blocking
from streaming.fanout.connection import Connection
from streaming.fanout.delivery import Delivery
from streaming.fanout.history import Place
from streaming.fanout.hub import hub
from streaming.fanout.presence_task import presence
from streaming.frames import queued_frame, terminal_frame, watching_frame
from streaming.orders import submission_of, watch_order_of
from streaming.protocol import (
    CancelData,
    ClientMessage,
    ErrorCode,
    ResumeData,
    ResumedData,
    ServerMessage,
    SubscriptionData,
    Topic,
    TopicData,
    UnwatchData,
    UnwatchedData,
    server_frame,
)
from streaming.receivers import request_address
from streaming.topics import Subscription, TopicError


@dataclass(frozen=True, slots=True)
class Session:
    """What the handlers know of a client.

    Attributes:
        connection: Its place in the fan-out.
        joined: The newest number when it connected.
    """

    connection: Connection
    joined: Place


async def handle_request(session: Session, message: Message) -> None:
    """Submit a request and acknowledge it before any news of it."""
    connection = session.connection
    await hub().hear(connection)
    submission = submission_of(connection.owner, connection.client_id, message)
    with connection.hold():
        try:
            receipt = await run_blocking(lambda: services.request_submit(submission))
        except RequestError as error:
            raise _frame_error(error, message.echo) from error
        if receipt.repeated:
            await _repeat(connection, receipt)
        elif not receipt.request.is_terminal:
            connection.outbox.put(queued_frame(receipt))


async def _repeat(connection: Connection, receipt: Receipt) -> None:
    """Answer a request that was submitted before: its news come to this connection, too."""
    request = receipt.request
    await hub().adopt(connection, request.client_id)
    # It may have ended after it was looked up and before this connection stood in for it.
    await run_blocking(request.refresh_from_db)
    if not request.is_terminal:
        connection.outbox.put(queued_frame(receipt))
        return
    ended = Delivery.of(request_address(request), terminal_frame(request), request.request_id)
    if not connection.put(ended):
        # It was told before and is asked for again: whoever asks gets an answer.
        connection.outbox.put_text(ended.text)


async def handle_cancel(session: Session, message: Message) -> None:
    """Cancel a request; the answer is its terminal frame."""
    data = cast("CancelData", message.data)
    owner = session.connection.owner
    try:
        await run_blocking(lambda: services.request_cancel(owner, data.request_id))
    except RequestError as error:
        raise _frame_error(error, message.echo) from error


async def handle_subscribe(session: Session, message: Message) -> None:
    """Begin to hear a topic."""
    subscription = _subscription(cast("TopicData", message.data).topic, "topic", message.echo)
    hub().subscribe(session.connection, subscription)
    await _confirm(session, message, subscription, ServerMessage.SUBSCRIBE)


async def handle_unsubscribe(session: Session, message: Message) -> None:
    """Cease to hear a topic."""
    subscription = _subscription(cast("TopicData", message.data).topic, "topic", message.echo)
    hub().unsubscribe(session.connection, subscription)
    await _confirm(session, message, subscription, ServerMessage.UNSUBSCRIBE)


async def handle_resume(session: Session, message: Message) -> None:
    """Replay what a lost connection missed, then say whether that was all of it."""
    data = cast("ResumeData", message.data)
    connection = session.connection
    await hub().hear(connection)
    subscriptions = [
        _subscription(topic, f"topics[{index}]", message.echo)
        for index, topic in enumerate(data.topics)
    ]
    with connection.hold(), hub().all_or_nothing(connection):
        hub().subscribe(connection, *subscriptions)
        await hub().adopt(connection, data.client_id)
        newest, missed = await hub().missed(connection, Place(data.epoch, data.seq))
        reply = ResumedData(
            recovered=missed is not None,
            # What came since this connection joined was told already; it is told only once.
            replayed=sum(connection.put(frame) for frame in missed or ()),
            epoch=newest.epoch,
            seq=newest.seq,
        )
        connection.outbox.put(server_frame(ServerMessage.RESUME, reply, message.echo))
    await _heed(connection, subscriptions)


async def handle_watch(session: Session, message: Message) -> None:
    """Begin to watch a portfolio; this connection hears of it from now on."""
    order = watch_order_of(session.connection.owner, message)

    def watch() -> tuple[Portfolio, PortfolioStanding]:
        portfolio = portfolios.portfolio_watch(order)
        return portfolio, portfolios.portfolio_standing(portfolio)

    connection = session.connection
    with connection.hold():
        try:
            portfolio, standing = await run_blocking(watch)
        except RequestError as error:
            raise _frame_error(error, message.echo) from error
        news = (Topic.PORTFOLIO_UPDATES, Topic.RISK_ALERTS)
        hub().subscribe(connection, *(Subscription(t, portfolio.portfolio_id) for t in news))
        await presence().changed(connection)
        connection.outbox.put(watching_frame(portfolio, standing, message.echo))


async def handle_unwatch(session: Session, message: Message) -> None:
    """Stop watching a portfolio."""
    data = cast("UnwatchData", message.data)
    owner = session.connection.owner
    try:
        await run_blocking(lambda: portfolios.portfolio_unwatch(owner, data.portfolio_id))
    except RequestError as error:
        raise _frame_error(error, message.echo) from error
    reply = UnwatchedData(portfolio_id=data.portfolio_id)
    session.connection.outbox.put(server_frame(ServerMessage.UNWATCH, reply, message.echo))


def _subscription(topic: str, path: str, echo: str | None) -> Subscription:
    try:
        return Subscription.parse(topic)
    except TopicError as error:
        raise FrameError(ErrorCode.UNKNOWN_TOPIC, str(error), [path], echo) from error


async def _confirm(
    session: Session, message: Message, subscription: Subscription, kind: ServerMessage
) -> None:
    subscribed = kind is ServerMessage.SUBSCRIBE
    data = SubscriptionData(
        topic=str(subscription), status="subscribed" if subscribed else "unsubscribed"
    )
    session.connection.outbox.put(server_frame(kind, data, message.echo))
    await _heed(session.connection, [subscription])


async def _heed(connection: Connection, changed: Sequence[Subscription]) -> None:
    """Act on changed subscriptions."""
    if any(subscription.topic is Topic.PRICE_UPDATES for subscription in changed):
        await hub().read_prices(connection)
    await presence().changed(connection)


def _frame_error(error: RequestError, echo: str | None) -> FrameError:
    return FrameError(ErrorCode(error.code), error.message, error.fields, echo)


Handler = Callable[[Session, Message], Awaitable[None]]

HANDLERS: Mapping[ClientMessage, Handler] = {
    ClientMessage.OPTIMIZATION_REQUEST: handle_request,
    ClientMessage.FRONTIER_REQUEST: handle_request,
    ClientMessage.OPTIMIZATION_CANCEL: handle_cancel,
    ClientMessage.SUBSCRIBE: handle_subscribe,
    ClientMessage.UNSUBSCRIBE: handle_unsubscribe,
    ClientMessage.RESUME: handle_resume,
    ClientMessage.WATCH: handle_watch,
    ClientMessage.UNWATCH: handle_unwatch,
}
"""Heartbeats are answered by the consumer itself."""
