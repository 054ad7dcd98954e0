"""Judges a recorded run: all that clients sent and received, and the rows that were left.

The order of two admissions is taken from what clients saw, as for linearizability: one request
certainly came before another when its acknowledgement had arrived before the other was sent. The
order of service is taken from the fencing tokens, which grow with every claim on one clock.
"""

import bisect
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from math import inf
from typing import Any

Frame = dict[str, Any]

ASKING = frozenset({"optimization_request", "frontier_request"})
ENDINGS = frozenset({"optimization_result", "optimization_cancelled", "frontier_result"})
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
FRAME_OF_STATUS = {
    "succeeded": frozenset({"optimization_result", "frontier_result"}),
    "failed": frozenset({"error"}),
    "cancelled": frozenset({"optimization_cancelled"}),
}
UNCERTAIN = frozenset({"service_unavailable"})
"""Refusals after which a request may have been taken all the same."""
TOPICS = frozenset({"portfolio_updates", "risk_alerts"})
"""Topics that together carry every numbered frame of an owner."""


class Direction(StrEnum):
    """What happened to a frame."""

    SENT = "sent"
    RECEIVED = "received"


@dataclass(frozen=True, slots=True)
class Event:
    """One frame as a client saw it.

    Attributes:
        at: Epoch seconds.
        client: Name of the client, the same over all of its connections.
        direction: Sent or received.
        frame: The frame; every request in it carries a key in its top-level ``request_id``.
    """

    at: float
    client: str
    direction: Direction
    frame: Frame

    @property
    def kind(self) -> str:
        """``data.type`` of a portfolio update, else the frame's own type."""
        data = self.frame.get("data") or {}
        return str(data.get("type", self.frame["type"]))

    @property
    def key(self) -> str | None:
        """The idempotency key that the frame carries or echoes."""
        key = self.frame.get("request_id")
        return None if key is None else str(key)

    @property
    def request_id(self) -> str | None:
        """The server's own name of the request that the frame is about."""
        data = self.frame.get("data") or {}
        value = data.get("request_id")
        return None if value is None else str(value)

    @property
    def is_end(self) -> bool:
        """Whether it is the last word on an accepted request."""
        return self.kind in ENDINGS or (self.kind == "error" and self.request_id is not None)

    @property
    def is_refusal(self) -> bool:
        """Whether it says that a request was not accepted."""
        return self.kind == "error" and self.request_id is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the database holds of a request.

    Attributes:
        request_id: Its name.
        key: The client's idempotency key.
        owner: Whose it is.
        lane: Where it waited.
        status: Where it stands.
        fence: Token of its last claim, 0 for none.
        attempt: How often it was begun.
        left_queue_at: Epoch seconds of its first begin, or of its end when it never began.
    """

    request_id: str
    key: str | None
    owner: str
    lane: str
    status: str
    fence: int = 0
    attempt: int = 0
    left_queue_at: float | None = None


@dataclass(frozen=True)
class Run:
    """One recorded run, after everything has come to rest."""

    events: Sequence[Event]
    rows: Sequence[Row]
    listeners: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        topics: dict[str, set[str]] = defaultdict(set)
        for event in self.events:
            if event.direction is Direction.SENT and event.kind == "subscribe":
                topics[event.client].add(event.frame["data"]["topic"])
        heard = frozenset(client for client, names in topics.items() if names >= TOPICS)
        object.__setattr__(self, "listeners", heard)

    @cached_property
    def row_of(self) -> dict[str, Row]:
        """Rows by request id."""
        return {row.request_id: row for row in self.rows}

    @cached_property
    def asks(self) -> dict[tuple[str, str], list[float]]:
        """When each client sent each of its keys."""
        asks: dict[tuple[str, str], list[float]] = defaultdict(list)
        for event in self.sent():
            if event.kind in ASKING:
                if event.key is None:
                    raise ValueError("a recorded request has no key to know it by")
                asks[event.client, event.key].append(event.at)
        return dict(asks)

    @cached_property
    def admitted(self) -> dict[str, tuple[float, float]]:
        """By request id: when it was first asked for, and when its acknowledgement had arrived."""
        spans: dict[str, tuple[float, float]] = {}
        for event in self.received():
            asked = self.asks.get((event.client, event.key or ""))
            if asked and event.request_id and event.request_id not in spans:
                spans[event.request_id] = (asked[0], event.at)
        return spans

    def sent(self) -> Iterator[Event]:
        """Events of frames that clients sent."""
        return (event for event in self.events if event.direction is Direction.SENT)

    def received(self) -> Iterator[Event]:
        """Events of frames that clients received."""
        return (event for event in self.events if event.direction is Direction.RECEIVED)

    def asked_ids(self, client: str) -> dict[str, str]:
        """Request id → key, of what a client asked for and had accepted."""
        own = {key for owner, key in self.asks if owner == client}
        return {
            event.request_id: event.key
            for event in self.received()
            if event.client == client and event.request_id and event.key in own
        }


def violations(run: Run, *, limit: int, overtaken: int = 0) -> list[str]:
    """Every promise that the run broke, in words; empty when it broke none.

    Args:
        run: What was recorded.
        limit: ``MAX_QUEUE_SIZE`` of the server.
        overtaken: Requests that may have been overtaken, because a fault took the worker process
            that had just claimed them: one for each such process. They wait for their second claim
            outside of the queue.
    """
    return [
        *ends_in_rows(run),
        *ends_on_the_wire(run),
        *answers(run),
        *duplicates(run),
        *numbers(run),
        *order(run, overtaken),
        *positions(run, limit),
        *waiting(run, limit + overtaken),
    ]


def ends_in_rows(run: Run) -> Iterator[str]:
    """Every row has ended, and every accepted request has a row."""
    for row in run.rows:
        if row.status not in TERMINAL:
            yield f"{row.request_id} is still {row.status}"
    for request_id in run.admitted:
        if request_id not in run.row_of:
            yield f"{request_id} was accepted and has no row"


def ends_on_the_wire(run: Run) -> Iterator[str]:
    """A client hears the end of what it asked for once for each time that it asked."""
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    for event in run.received():
        if event.is_end and event.request_id is not None:
            told[event.client, event.request_id].append(event.kind)
    for client in sorted({event.client for event in run.events}):
        own = run.asked_ids(client)
        for request_id, key in own.items():
            asked, count = len(run.asks[client, key]), len(told.get((client, request_id), []))
            if not count:
                yield f"{client} never heard the end of {request_id}"
            elif count > asked:
                yield f"{client} asked {asked} times for {request_id} and heard {count} ends"
        for request_id, kinds in _of(client, told):
            if request_id not in own and len(kinds) > 1:
                yield f"{client} overheard {len(kinds)} ends of {request_id}"
            yield from _untrue_ends(run, client, request_id, set(kinds))


def _of(client: str, told: Mapping[tuple[str, str], list[str]]) -> Iterator[tuple[str, list[str]]]:
    return ((request_id, kinds) for (name, request_id), kinds in told.items() if name == client)


def _untrue_ends(run: Run, client: str, request_id: str, kinds: set[str]) -> Iterator[str]:
    """Ends of a request that do not say what its row says."""
    row = run.row_of.get(request_id)
    if row is None:
        yield f"{client} heard an end of {request_id}, which has no row"
    elif not kinds <= FRAME_OF_STATUS.get(row.status, frozenset()):
        yield f"{client} heard {sorted(kinds)} of {request_id}, which {row.status}"


def answers(run: Run) -> Iterator[str]:
    """Every request is answered, and what was refused for good left nothing behind."""
    outcomes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for event in run.received():
        if event.key is None:
            continue
        code = event.frame["data"].get("code", "") if event.is_refusal else "accepted"
        outcomes[event.client, event.key].append(str(code))
    keys = {row.key: row for row in run.rows}
    for client, key in run.asks:
        heard = outcomes.get((client, key), [])
        if not heard:
            yield f"{client} was never answered about {key}"
        elif "accepted" not in heard and not UNCERTAIN & set(heard) and key in keys:
            yield f"{key} was refused ({heard[-1]}) and left {keys[key].request_id}"


def duplicates(run: Run) -> Iterator[str]:
    """One key is one request."""
    for (owner, key), count in Counter((row.owner, row.key) for row in run.rows).items():
        if key is not None and count > 1:
            yield f"{owner} has {count} rows for {key}"
    for row_id, count in Counter(row.request_id for row in run.rows).items():
        if count > 1:
            yield f"{row_id} has {count} rows"
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in run.received():
        if event.key is not None and event.request_id is not None:
            names[event.client, event.key].add(event.request_id)
    for (client, key), ids in names.items():
        if len(ids) > 1:
            yield f"{client} was told of {sorted(ids)} for {key}"


def numbers(run: Run) -> Iterator[str]:
    """No number comes twice to a client, and none is missing for one that hears everything.

    A client that is told ``recovered: false`` knows that it missed some: there a new run begins.
    """
    heard: dict[tuple[str, int, str], list[int]] = defaultdict(list)
    lost: Counter[str] = Counter()
    for event in run.received():
        if event.kind == "resume" and not event.frame["data"]["recovered"]:
            lost[event.client] += 1
        if "seq" in event.frame:
            heard[event.client, lost[event.client], event.frame["epoch"]].append(event.frame["seq"])
    for (client, _, epoch), seqs in heard.items():
        twice = sorted(seq for seq, count in Counter(seqs).items() if count > 1)
        if twice:
            yield f"{client} got {twice} of epoch {epoch} more than once"
        if client in run.listeners:
            missing = sorted(set(range(min(seqs), max(seqs))) - set(seqs))
            if missing:
                yield f"{client} missed {missing} of epoch {epoch}"


def order(run: Run, allowed: int) -> Iterator[str]:
    """In each lane nobody is served before one who certainly was admitted earlier."""
    lanes: dict[str, list[tuple[float, float, Row]]] = defaultdict(list)
    for row in run.rows:
        # A second claim says nothing about when the first one was.
        if row.attempt == 1 and row.fence and row.request_id in run.admitted:
            lanes[row.lane].append((*run.admitted[row.request_id], row))
    for lane, served in lanes.items():
        late = list(_overtaken(served))
        if len(late) > allowed:
            yield f"{len(late)} of the {lane} lane were overtaken ({allowed} may be): {late}"


def _overtaken(served: Iterable[tuple[float, float, Row]]) -> Iterator[str]:
    """Those for which another was asked after their acknowledgement, and claimed before them."""
    by_asking = sorted(served, key=lambda entry: entry[0])
    earliest_claim_from = [inf] * (len(by_asking) + 1)
    for index in range(len(by_asking) - 1, -1, -1):
        fence = by_asking[index][2].fence
        earliest_claim_from[index] = min(fence, earliest_claim_from[index + 1])
    asked = [entry[0] for entry in by_asking]
    for _, acknowledged, row in by_asking:
        if earliest_claim_from[bisect.bisect_right(asked, acknowledged)] < row.fence:
            yield row.request_id


def positions(run: Run, limit: int) -> Iterator[str]:
    """Nobody is given a place beyond the limit."""
    for event in run.received():
        if event.kind == "optimization_queued" and event.frame["data"]["queue_position"] > limit:
            yield f"{event.request_id} was given place {event.frame['data']['queue_position']}"


def waiting(run: Run, limit: int) -> Iterator[str]:
    """Never more than the limit certainly wait."""
    leaving: list[float] = []
    most = 0
    for acknowledged, left in sorted(_stays(run)):
        while leaving and leaving[0] <= acknowledged:
            heapq.heappop(leaving)
        heapq.heappush(leaving, left)
        most = max(most, len(leaving))
    if most > limit:
        yield f"{most} waited at once, and {limit} may"


def _stays(run: Run) -> Iterator[tuple[float, float]]:
    """From when to when each request certainly waited."""
    for request_id, (_, acknowledged) in run.admitted.items():
        row = run.row_of.get(request_id)
        if row is not None and row.left_queue_at is not None and row.left_queue_at > acknowledged:
            yield acknowledged, row.left_queue_at
