"""Requests, cancellations, repetitions, lost connections and dying workers in any order.

The clients speak to the consumer itself, in this process, with the real database and Valkey; the
machine is the worker, and dies wherever a worker may. ``make test-states`` goes 10,000 steps.
"""

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.redis_client import redis_client
from optimization.models import OptimizationRequest
from optimization.queue import admission, store
from optimization.queue.lanes import Lane
from optimization.queue.reconciliation import reconcile
from optimization.services import request_begin, request_fail, request_succeed
from optimization.solving.results import error_document
from streaming.fanout import history
from streaming.tasks import republish_missing
from tests import working
from tests.faults.client import Record
from tests.faults.history import TERMINAL, TOPICS, Direction, Event, Frame, Row, Run, violations
from tests.optimization.test_services import RESULT
from tests.streaming.wire_client import WireClient, connecting, wire

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("market", "redis_server"),
]

STEPS = int(os.environ.get("STATE_STEPS", "250"))
"""Steps in all; a run has at most 50 of them."""
LIMIT = 4
CLIENTS = ("ann", "bob", "listener")
LANES = {"mean_variance": Lane.CONVEX, "particle_swarm": Lane.HEURISTIC}


@dataclass
class Talker:
    """One client over all of its connections.

    Attributes:
        wire: Its connection, while it has one.
        place: Where it would resume.
        asked: What it asked for, by key.
        ids: The server's names of what was accepted, by key.
    """

    name: str
    wire: WireClient | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    place: Frame | None = None
    asked: dict[str, Frame] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)


class Requests(RuleBasedStateMachine):
    """The clients, the worker, and what may befall them."""

    def __init__(self) -> None:
        super().__init__()
        redis_client().flushall()
        OptimizationRequest.objects.all().delete()
        self.loop = asyncio.new_event_loop()
        self.record = Record()
        self.held_up = 0
        self.scope = AsyncExitStack()
        self.loop.run_until_complete(self.scope.enter_async_context(wire()))
        self.talkers = {name: Talker(name) for name in CLIENTS}
        for talker in self.talkers.values():
            self.loop.run_until_complete(self._connect(talker))

    @rule(name=st.sampled_from(CLIENTS[:2]), method=st.sampled_from(sorted(LANES)))
    def ask(self, name: str, method: str) -> None:
        """A new request."""
        talker = self.talkers[name]
        key = self.record.name(name)
        data = {"symbols": ["AAPL", "KO"], "method": method, "parameters": {"lookback": 252}}
        talker.asked[key] = {"type": "optimization_request", "request_id": key, "data": data}
        self.loop.run_until_complete(self._say(talker, talker.asked[key]))

    @rule(name=st.sampled_from(CLIENTS[:2]), data=st.data())
    def ask_again(self, name: str, data: st.DataObject) -> None:
        """A request that was sent before, under the same key."""
        talker = self.talkers[name]
        if talker.asked:
            key = data.draw(st.sampled_from(sorted(talker.asked)))
            self.loop.run_until_complete(self._say(talker, talker.asked[key]))

    @rule(name=st.sampled_from(CLIENTS[:2]), data=st.data())
    def cancel(self, name: str, data: st.DataObject) -> None:
        """A cancellation of anything that was accepted, ended or not."""
        talker = self.talkers[name]
        if talker.ids:
            request_id = data.draw(st.sampled_from(sorted(talker.ids.values())))
            frame = {"type": "optimization_cancel", "data": {"request_id": request_id}}
            self.loop.run_until_complete(self._say(talker, {**frame, "request_id": "cancel"}))

    @rule(name=st.sampled_from(CLIENTS))
    def lose_connection(self, name: str) -> None:
        """A connection that breaks; what was on its way to the client is lost with it."""
        talker = self.talkers[name]
        if talker.wire is not None:
            talker.wire = None
            self.loop.run_until_complete(talker.stack.aclose())

    @rule(name=st.sampled_from(CLIENTS))
    def resume(self, name: str) -> None:
        """A client that comes back."""
        if self.talkers[name].wire is None:
            self.loop.run_until_complete(self._connect(self.talkers[name]))

    @rule(lane=st.sampled_from(sorted(LANES.values())), success=st.booleans())
    def work(self, lane: Lane, success: bool) -> None:
        """A worker that does its whole work."""
        self._work(lane, success=success)

    @rule(
        lane=st.sampled_from(sorted(LANES.values())),
        moment=st.sampled_from(["claimed", "begun", "ended", "late"]),
    )
    def die(self, lane: Lane, moment: str) -> None:
        """A worker that dies, or wakes up after its lease was lost."""
        claim = working.claim(lane)
        if claim is None:
            return
        if moment == "claimed":
            self.held_up += 1
        else:
            request = request_begin(claim)
            if moment == "late":
                self._expire(lane)
                self._work(lane, success=False)
            if request is not None and moment in {"ended", "late"}:
                request_succeed(request, RESULT)
        self._expire(lane)

    @rule(lane=st.sampled_from(sorted(LANES.values())))
    def lose_head(self, lane: Lane) -> None:
        """The queue forgets the request that would be next."""
        if redis_client().zpopmin(store.waiting(lane)):
            self.held_up += 1

    @rule()
    def lose_news(self) -> None:
        """Redis forgets that ends were told; they are told again."""
        row = OptimizationRequest.objects.filter(status__in=TERMINAL).last()
        if row is not None and not redis_client().exists(history.once_key(row.request_id)):
            republish_missing()

    @rule()
    def beat(self) -> None:
        """What beat has done every few seconds."""
        OptimizationRequest.objects.update(created_at=timezone.now() - timedelta(seconds=10))
        reconcile()
        republish_missing()

    @precondition(lambda self: self.talkers["ann"].wire is not None)
    @rule()
    def hear(self) -> None:
        """A client that reads all that has arrived."""
        self._drain(self.talkers["ann"])

    def teardown(self) -> None:
        """Bring everything to rest and judge all of it."""
        try:
            self._settle()
            run = Run(self.record.events, [_row(r) for r in OptimizationRequest.objects.all()])
            broken = violations(run, limit=LIMIT, overtaken=self.held_up)
            assert not broken, "\n".join(broken)
        finally:
            for talker in self.talkers.values():
                self.loop.run_until_complete(talker.stack.aclose())
            self.loop.run_until_complete(self.scope.aclose())
            self.loop.close()

    def _settle(self) -> None:
        for name in CLIENTS:
            self.resume(name)
        while OptimizationRequest.objects.exclude(status__in=TERMINAL).exists():
            self.beat()
            for lane in LANES.values():
                self._expire(lane)
                self._work(lane, success=True)
        self.beat()
        ended = set(OptimizationRequest.objects.values_list("request_id", flat=True))
        for talker in self.talkers.values():
            wanted = ended if talker.name == "listener" else set(talker.ids.values())
            self.loop.run_until_complete(self._hear_ends(talker, wanted))

    def _heard(self, talker: Talker) -> set[str]:
        """Requests whose end a client has received."""
        return {
            event.request_id
            for event in self.record.events
            if event.client == talker.name and event.direction is Direction.RECEIVED
            if event.is_end and event.request_id is not None
        }

    def _work(self, lane: Lane, *, success: bool) -> None:
        claim = working.claim(lane)
        if claim is None:
            return
        request = request_begin(claim)
        if request is not None and success:
            request_succeed(request, RESULT)
        elif request is not None:
            request_fail(request, error_document("solver_failure", "by hand"))
        admission.finish(claim)

    def _expire(self, lane: Lane) -> None:
        """End every lease of a lane, as time would."""
        held: Any = redis_client().zrange(store.leases(lane), 0, -1)
        for name in held:
            redis_client().zadd(store.leases(lane), {name: 0})

    async def _connect(self, talker: Talker) -> None:
        talker.stack = AsyncExitStack()
        _, _, talker.wire = await talker.stack.enter_async_context(connecting())
        greeting = await self._receive(talker)
        if talker.name == "listener":
            for topic in sorted(TOPICS):
                await self._say(talker, {"type": "subscribe", "data": {"topic": topic}})
        if talker.place is None:
            names = ("epoch", "seq", "client_id")
            talker.place = {name: greeting.frame["data"][name] for name in names}
        else:
            await self._say(talker, {"type": "resume", "data": talker.place})
            data = self.record.events[-1].frame["data"]
            known = talker.place["seq"] if talker.place["epoch"] == data["epoch"] else 0
            talker.place = {
                "epoch": data["epoch"],
                "seq": max(known, data["seq"]),
                "client_id": greeting.frame["data"]["client_id"],
            }

    async def _say(self, talker: Talker, frame: Frame) -> None:
        """Send a frame and read up to its answer."""
        if talker.wire is None:
            return
        self.record.note(talker.name, Direction.SENT, frame)
        await talker.wire.communicator.send_to(text_data=json.dumps(frame))
        if frame["type"] == "optimization_cancel":
            wanted = frame["data"]["request_id"]
            await self._read(
                talker, lambda e: e.key == "cancel" or (e.is_end and e.request_id == wanted)
            )
        elif "request_id" in frame:
            answers = {
                "optimization_queued",
                "error",
                "optimization_result",
                "optimization_cancelled",
            }
            await self._read(talker, lambda e: e.key == frame["request_id"] and e.kind in answers)
        else:
            await self._read(talker, lambda e: e.kind in {frame["type"], "error"} and not e.is_end)

    async def _read(self, talker: Talker, wanted: Callable[[Event], bool]) -> None:
        while not wanted(await self._receive(talker)):
            pass

    async def _hear_ends(self, talker: Talker, wanted: set[str]) -> None:
        while not wanted <= self._heard(talker):
            await self._receive(talker)

    def _drain(self, talker: Talker) -> None:
        """Read what has arrived before the answer to a heartbeat."""
        self.loop.run_until_complete(self._say(talker, {"type": "heartbeat", "data": {}}))

    async def _receive(self, talker: Talker) -> Event:
        assert talker.wire is not None
        frame = await talker.wire.receive()
        event = self.record.note(talker.name, Direction.RECEIVED, frame)
        if event.key in talker.asked and event.request_id is not None:
            talker.ids[str(event.key)] = event.request_id
        if "seq" in frame and talker.place is not None:
            seq = frame["seq"]
            if frame["epoch"] == talker.place["epoch"]:
                seq = max(seq, talker.place["seq"])
            talker.place = {**talker.place, "epoch": frame["epoch"], "seq": seq}
        return event


def _row(request: OptimizationRequest) -> Row:
    left = request.started_at or request.finished_at
    return Row(
        request_id=request.request_id,
        key=request.idempotency_key,
        owner=request.owner,
        lane=request.lane,
        status=request.status,
        fence=request.fence,
        attempt=request.attempt,
        left_queue_at=left.timestamp() if left else None,
    )


def test_whatever_happens_in_whatever_order_every_promise_is_kept(
    settings: Settings, redis_server: Redis
) -> None:
    settings.MAX_QUEUE_SIZE = LIMIT
    settings.ALLOWED_HOSTS = ["desk.example"]
    run_state_machine_as_test(Requests, settings=PROFILE)


PROFILE: Any = settings(
    max_examples=max(1, STEPS // 50),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
