"""A turn of a process: what it is handed, what it leaves behind, and what it costs in messages."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.redis_client import redis_client, redis_commands
from optimization.queue import admission, duty, expectation, store
from optimization.queue.admission import Claim, LeaseState
from optimization.queue.duty import Duty
from optimization.queue.expectation import expectations
from optimization.queue.lanes import Lane
from optimization.queue.reconciliation import Sweeper
from tests import working
from tests.optimization.queue.broker import lose_tokens, take_token, tokens

LANE = Lane.CONVEX


@pytest.fixture(autouse=True)
def valkey(redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> Redis:
    """An empty Valkey, and turns that are over soon; nothing else is while a test runs."""
    monkeypatch.setattr(duty, "DUTY_SECONDS", 0.5)
    for name in ("EXPECTED_SECONDS", "TOKEN_SECONDS"):
        monkeypatch.setattr(expectation, name, 600)
    lose_tokens()
    return redis_server


@pytest.fixture
def long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns that no test waits to the end of."""
    monkeypatch.setattr(duty, "DUTY_SECONDS", 600)


def following(turn: Duty, done: Claim | None = None) -> Claim | None:
    """What the turn takes next, with nothing to be sent ahead."""
    with redis_client().pipeline(transaction=False) as pipe:
        return turn.next(pipe, done)


def idle_turn(*, stands_by: bool = True) -> None:
    """A turn from its begin to its end in which nothing is to be done."""
    with Duty(LANE, stands_by=stands_by) as turn:
        assert following(turn) is None


def stand_by(client: Redis, turn: Duty, pool: ThreadPoolExecutor) -> Future[Claim | None]:
    """Let a process wait; returns once it is signed up."""
    waiting = pool.submit(following, turn)
    while not client.zcard(store.standby(LANE)) and not waiting.done():
        pass
    return waiting


def child_that(work: Callable[[], object]) -> int:
    """A child process that has done some work and died without a word; its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    return child


def take_one() -> None:
    """Take the lane's head and hold it."""
    assert following(Duty(LANE, stands_by=False).__enter__()) is not None


def test_what_a_process_held_is_taken_by_the_next_as_soon_as_its_parent_knows_of_its_death(
    valkey: Redis,
) -> None:
    for name in ("first", "second"):
        admission.admit(LANE, name)
    child = child_that(take_one)
    lose_tokens()
    assert duty.bereave([Lane.HEURISTIC, LANE], child) is LANE
    assert tokens() == 1
    assert working.claimed(LANE).request_id == "first"


def test_what_was_handed_to_a_process_that_died_over_it_is_taken_by_the_next(
    valkey: Redis, long_turns: None
) -> None:
    child = os.fork()
    if child == 0:
        try:
            following(Duty(LANE, stands_by=True).__enter__())
        finally:
            os._exit(0)
    while not valkey.zcard(store.standby(LANE)):
        pass
    os.kill(child, signal.SIGSTOP)
    admission.admit(LANE, "handed")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert working.claim(LANE) is None
    assert duty.bereave([LANE], child) is LANE
    assert working.claimed(LANE).request_id == "handed"


def test_what_another_has_taken_over_meanwhile_stays_with_him(valkey: Redis) -> None:
    admission.admit(LANE, "r")
    child = child_that(take_one)
    valkey.zadd(store.leases(LANE), {"r": 1.0})
    heir = working.claimed(LANE)
    assert duty.bereave([LANE], child) is None
    assert admission.renew(heir) is LeaseState.HELD
    assert working.claim(LANE) is None


def test_a_process_that_held_nothing_leaves_nothing(valkey: Redis) -> None:
    admission.admit(LANE, "r")

    def work() -> None:
        turn = Duty(LANE, stands_by=False).__enter__()
        assert following(turn, following(turn)) is None

    child = child_that(work)
    assert duty.bereave([LANE], child) is None
    assert valkey.zcard(store.leases(LANE)) == 0


def test_a_turn_takes_requests_in_the_order_of_admission() -> None:
    for number in range(5):
        admission.admit(LANE, f"r{number}")
    taken = []
    with Duty(LANE, stands_by=False) as turn:
        claim = following(turn)
        while claim is not None:
            taken.append(claim.request_id)
            claim = following(turn, claim)
    assert taken == [f"r{number}" for number in range(5)]
    assert admission.known(taken) == set()


def test_what_is_done_is_given_up_in_the_step_that_takes_the_next(valkey: Redis) -> None:
    admission.admit(LANE, "a")
    admission.admit(LANE, "b")
    with Duty(LANE, stands_by=False) as turn:
        first = following(turn)
        assert first is not None
        second = following(turn, first)
        assert second is not None
        assert valkey.zrange(store.leases(LANE), 0, -1) == [b"b"]
        assert second.fence > first.fence
        assert following(turn, second) is None
    assert not valkey.hgetall(store.key(store.FENCES))


def test_a_process_that_stands_by_is_handed_a_request_without_a_message(
    valkey: Redis, long_turns: None
) -> None:
    with ThreadPoolExecutor(1) as pool, Duty(LANE, stands_by=True) as turn:
        waiting = stand_by(valkey, turn, pool)
        assert admission.admit(LANE, "a") == 1
        claim = waiting.result()
        assert claim is not None
        assert claim.request_id == "a"
        assert tokens() == 0
        assert admission.renew(claim) is admission.LeaseState.HELD


def test_a_process_stands_by_for_longer_than_redis_may_take_to_answer(
    valkey: Redis, settings: Settings, long_turns: None
) -> None:
    # Half of it is the margin that a busy machine has before a living line looks dead.
    settings.REDIS_TIMEOUT = 1.0
    with ThreadPoolExecutor(1) as pool, Duty(LANE, stands_by=True) as turn:
        waiting = stand_by(valkey, turn, pool)
        valkey.blpop(["nothing"], timeout=1.5)
        admission.admit(LANE, "a")
        claim = waiting.result()
        assert claim is not None
        assert claim.request_id == "a"


def test_a_turn_that_had_work_ends_with_a_token_and_an_idle_one_without() -> None:
    idle_turn()
    assert tokens() == 0
    admission.admit(LANE, "a")
    take_token()
    with Duty(LANE, stands_by=True) as turn:
        claim = following(turn)
        assert claim is not None
        assert following(turn, claim) is None
    assert tokens() == 1


def test_an_idle_turn_ends_with_a_token_while_requests_are_expected() -> None:
    redis_commands(expectations())
    idle_turn()
    assert tokens() == 1
    take_token()
    redis_commands([("DEL", store.expected(LANE))])
    idle_turn()
    assert tokens() == 0


def test_of_several_idle_processes_one_stays_for_what_is_expected(valkey: Redis) -> None:
    redis_commands(expectations())
    valkey.zadd(store.standby(LANE), {"another": 4_000_000_000})
    idle_turn()
    assert tokens() == 0


def test_nobody_stays_for_what_is_expected_beside_a_process_that_is_busy(valkey: Redis) -> None:
    redis_commands(expectations())
    valkey.zadd(store.leases(LANE), {"running": 4_000_000_000})
    idle_turn()
    assert tokens() == 0


def test_a_process_with_other_lanes_does_not_stay_for_what_is_expected() -> None:
    redis_commands(expectations())
    idle_turn(stands_by=False)
    assert tokens() == 0


def test_a_lane_where_requests_are_expected_is_woken_once() -> None:
    for lanes in ([LANE], [Lane.HEURISTIC], [LANE, Lane.QUANTUM]):
        Sweeper(lanes, 1).sweep()
    assert tokens() == 0
    redis_commands(expectations())
    Sweeper([LANE, Lane.QUANTUM], 1).sweep()
    assert tokens() == 0
    for _ in range(3):
        Sweeper([LANE], 1).sweep()
    assert tokens() == 1


def test_a_lane_is_not_woken_where_a_process_stands_by_for_what_is_expected(
    valkey: Redis,
) -> None:
    redis_commands(expectations())
    valkey.zadd(store.standby(LANE), {"one": 4_000_000_000})
    Sweeper([LANE], 1).sweep()
    assert tokens() == 0


def test_a_turn_that_fails_leaves_a_token_for_what_still_waits() -> None:
    admission.admit(LANE, "a")
    admission.admit(LANE, "b")
    take_token()

    def fail() -> None:
        with Duty(LANE, stands_by=True) as turn:
            assert following(turn) is not None
            raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        fail()
    assert tokens() == 1
    assert admission.position(LANE, "b") == 1


def test_one_token_is_enough_for_one_process() -> None:
    for number in range(10):
        admission.admit(LANE, f"r{number}")
    assert tokens() == 1


def test_no_token_is_sent_while_the_lane_s_only_process_is_busy() -> None:
    admission.admit(LANE, "a")
    take_token()
    with Duty(LANE, stands_by=False) as turn:
        held = following(turn)
        admission.admit(LANE, "b")
        assert tokens() == 0
        after = following(turn, held)
        assert after is not None
        assert after.request_id == "b"


def test_a_process_whose_time_is_over_is_handed_nothing(valkey: Redis) -> None:
    valkey.zadd(store.standby(LANE), {"gone": 1.0})
    admission.admit(LANE, "a")
    assert admission.position(LANE, "a") == 1
    assert tokens() == 1


def test_what_was_handed_to_a_process_that_died_is_taken_over(valkey: Redis) -> None:
    valkey.zadd(store.standby(LANE), {"dead": 1e12})
    admission.admit(LANE, "a")
    assert working.claim(LANE) is None
    valkey.zadd(store.leases(LANE), {"a": 1.0})
    assert working.claimed(LANE).request_id == "a"


def test_what_is_handed_over_in_the_moment_in_which_the_wait_ends_is_run() -> None:
    class Late(Duty):
        """Waits in vain, while an admission hands it something at the last moment."""

        def _hear(self, seconds: float) -> Any:
            heard = super()._hear(seconds)
            admission.admit(LANE, "a")
            return heard

    with Late(LANE, stands_by=True) as turn:
        claim = following(turn)
        assert claim is not None
        assert claim.request_id == "a"


def test_admissions_and_turns_at_once_lose_and_repeat_nothing(settings: Settings) -> None:
    # On a busy machine the turn may be over before most of them have come.
    settings.MAX_QUEUE_SIZE = 1000
    names = [f"r{number}" for number in range(200)]

    def run() -> list[str]:
        taken = []
        with Duty(LANE, stands_by=True) as turn:
            claim = following(turn)
            while claim is not None:
                taken.append(claim.request_id)
                claim = following(turn, claim)
        return taken

    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(run)
        for name in names:
            while admission.waiting_counts()[LANE] > 50:
                if turn.done():
                    break
            admission.admit(LANE, name)
        taken = turn.result()
    while len(taken) < len(names):
        taken += run()
    assert taken == names


def test_what_is_sent_ahead_is_done_and_a_refusal_of_it_loses_no_request(valkey: Redis) -> None:
    admission.admit(LANE, "a")
    valkey.set("word", "no list")
    with Duty(LANE, stands_by=False) as turn, redis_client().pipeline(transaction=False) as pipe:
        pipe.rpush("word", "refused")
        pipe.set("note", "kept")
        claim = turn.next(pipe)
        assert claim is not None
        assert claim.request_id == "a"
        assert valkey.get("note") == b"kept"
        assert turn.next(pipe, claim) is None


def test_what_was_handed_to_a_process_that_is_stopped_goes_back_to_the_head(valkey: Redis) -> None:
    class Stopped(Duty):
        """Is stopped while it stands by, in the moment in which it is handed something."""

        def _hear(self, seconds: float) -> Any:  # noqa: ARG002
            admission.admit(LANE, "a")
            admission.admit(LANE, "b")
            raise SystemExit

    def run() -> None:
        with Stopped(LANE, stands_by=True) as turn:
            following(turn)

    with pytest.raises(SystemExit):
        run()
    assert [admission.position(LANE, name) for name in "ab"] == [1, 2]
    assert not valkey.zcard(store.leases(LANE))
    assert tokens() >= 1
    claim = working.claimed(LANE)
    assert claim.request_id == "a"
    assert admission.renew(claim) is admission.LeaseState.HELD


def test_a_worker_that_stops_has_nothing_more_handed_to_its_processes(valkey: Redis) -> None:
    ours, others = duty.process_name(os.getpid(), 7), duty.process_name(1, 7)
    valkey.zadd(store.standby(LANE), {ours: 1e12, others: 2.0})
    duty.dismiss([LANE])
    assert valkey.zrange(store.standby(LANE), 0, -1) == [others.encode()]
    admission.admit(LANE, "a")
    assert admission.position(LANE, "a") == 1
