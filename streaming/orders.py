"""What a checked message asks of the services, whichever door it came through."""

from optimization.engine.problem import Method
from optimization.models import Kind
from optimization.submissions import Owner, Submission
from optimization.watching.portfolios import WatchOrder
from optimization.watching.rules import PriceChangeRule
from streaming.decoding import Message
from streaming.protocol import FrontierRequestData, OptimizationRequestData, WatchData


def submission_of(owner: Owner, client_id: str, message: Message) -> Submission:
    """The submission that an ``optimization_request`` or a ``frontier_request`` describes.

    Raises:
        TypeError: The message is another one.
    """
    data = message.data
    if not isinstance(data, OptimizationRequestData | FrontierRequestData):
        raise TypeError(f"{type(data).__name__} is not a request")
    parameters = data.parameters.model_dump(exclude_none=True)
    is_frontier = isinstance(data, FrontierRequestData)
    if isinstance(data, FrontierRequestData):
        parameters["points"] = data.points
    return Submission(
        owner=owner,
        client_id=client_id,
        symbols=tuple(data.symbols),
        objective=data.objective,
        constraints=data.constraints,
        kind=Kind.FRONTIER if is_frontier else Kind.OPTIMIZATION,
        method=data.method if isinstance(data, OptimizationRequestData) else Method.MEAN_VARIANCE,
        trigger=data.trigger,
        parameters=parameters,
        metadata=data.metadata,
        idempotency_key=message.echo,
    )


def watch_order_of(owner: Owner, message: Message) -> WatchOrder:
    """The order that a ``watch`` describes; without triggers, a price change of one percent.

    Raises:
        TypeError: The message is another one.
    """
    data = message.data
    if not isinstance(data, WatchData):
        raise TypeError(f"{type(data).__name__} is not an order to watch")
    return WatchOrder(
        owner=owner,
        name=data.name,
        symbols=tuple(data.symbols),
        holdings=data.holdings,
        weights=data.weights,
        objective=data.objective,
        constraints=data.constraints,
        method=data.method,
        parameters=data.parameters.model_dump(exclude_none=True),
        rules=tuple(data.triggers) or (PriceChangeRule(),),
    )
