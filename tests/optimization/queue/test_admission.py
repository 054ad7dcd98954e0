"""The queue in a real Valkey: bounded, first in first out, nothing lost or repeated."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings
from redis import Redis

from optimization.errors import QueueFullError
from optimization.queue import admission
from optimization.queue.admission import Claim, LeaseState, Whereabouts
from optimization.queue.lanes import Lane
from tests import working
from tests.working import claimed

CONVEX, HEURISTIC = Lane.CONVEX, Lane.HEURISTIC


@pytest.fixture(autouse=True)
def empty_queue(redis_server: Redis) -> Redis:
    return redis_server


def end_every_lease(client: Redis, lane: Lane = CONVEX) -> None:
    """Let the time of every lease be over."""
    for member in client.zrange(f"qe:queue:leases:{lane}", 0, -1):
        assert isinstance(member, bytes)
        client.zadd(f"qe:queue:leases:{lane}", {member: 1.0})


def test_positions_are_exact_and_grow_from_one() -> None:
    assert [admission.admit(CONVEX, f"r{i}") for i in range(5)] == [1, 2, 3, 4, 5]
    assert [admission.position(CONVEX, f"r{i}") for i in range(5)] == [1, 2, 3, 4, 5]
    assert claimed().request_id == "r0"
    assert admission.position(CONVEX, "r0") is None
    assert admission.position(CONVEX, "r3") == 3


def test_each_lane_has_positions_of_its_own() -> None:
    admission.admit(CONVEX, "c")
    assert admission.admit(HEURISTIC, "h") == 1
    assert admission.waiting_counts() == {Lane.CONVEX: 1, Lane.HEURISTIC: 1, Lane.QUANTUM: 0}


def test_admitting_twice_changes_nothing() -> None:
    admission.admit(CONVEX, "a")
    admission.admit(CONVEX, "b")
    assert admission.admit(CONVEX, "a") == 1
    assert admission.waiting_counts()[CONVEX] == 2


def test_the_bound_holds_over_all_lanes(settings: Settings) -> None:
    settings.MAX_QUEUE_SIZE = 3
    for lane, name in ((CONVEX, "a"), (HEURISTIC, "b"), (Lane.QUANTUM, "c")):
        admission.admit(lane, name)
    with pytest.raises(QueueFullError, match="3 requests wait already") as caught:
        admission.admit(CONVEX, "d")
    assert caught.value.retry
    # Now that one was refused, others are refused before any work is done for them.
    with pytest.raises(QueueFullError):
        admission.check_room()
    assert admission.admit(HEURISTIC, "b") == 1
    claimed()
    admission.check_room()
    assert admission.admit(CONVEX, "d") == 1


def test_requests_are_claimed_in_the_order_of_admission() -> None:
    for number in range(30):
        admission.admit(CONVEX, f"r{number}")
    assert [claimed().request_id for _ in range(30)] == [f"r{n}" for n in range(30)]
    assert working.claim(CONVEX) is None


def test_a_claim_takes_nothing_from_another_lane() -> None:
    admission.admit(CONVEX, "c")
    assert working.claim(HEURISTIC) is None


def test_every_claim_has_a_greater_fence_than_the_one_before() -> None:
    for number in range(5):
        admission.admit(CONVEX, f"r{number}")
    fences = [claimed().fence for _ in range(5)]
    assert fences == sorted(set(fences))


def test_fences_grow_even_when_redis_forgets_everything(empty_queue: Redis) -> None:
    admission.admit(CONVEX, "a")
    before = claimed().fence
    empty_queue.flushall()
    admission.admit(CONVEX, "a")
    assert claimed().fence > before


def test_a_lease_that_ended_is_taken_over_before_anything_that_waits(empty_queue: Redis) -> None:
    admission.admit(CONVEX, "first")
    admission.admit(CONVEX, "second")
    lost = claimed()
    end_every_lease(empty_queue)
    heir = claimed()
    assert heir.request_id == lost.request_id == "first"
    assert heir.fence > lost.fence


def test_a_live_lease_is_not_taken_over() -> None:
    admission.admit(CONVEX, "a")
    assert admission.renew(claimed()) is LeaseState.HELD
    assert working.claim(CONVEX) is None


def test_an_older_holder_can_neither_renew_nor_finish(empty_queue: Redis) -> None:
    admission.admit(CONVEX, "a")
    lost = claimed()
    end_every_lease(empty_queue)
    heir = claimed()
    assert admission.renew(lost) is LeaseState.LOST
    assert not admission.finish(lost)
    assert admission.renew(heir) is LeaseState.HELD
    assert admission.finish(heir)
    assert admission.renew(heir) is LeaseState.LOST


def test_renewing_keeps_a_lease_from_ending(empty_queue: Redis) -> None:
    admission.admit(CONVEX, "a")
    held = claimed()
    end_every_lease(empty_queue)
    assert admission.renew(held) is LeaseState.HELD
    assert working.claim(CONVEX) is None


def test_finishing_leaves_nothing_behind(empty_queue: Redis) -> None:
    admission.admit(CONVEX, "a")
    held = claimed()
    admission.cancel(CONVEX, "a")
    assert admission.finish(held)
    assert not empty_queue.hgetall("qe:queue:fences")
    assert not empty_queue.smembers("qe:queue:cancelled")
    assert admission.known(["a"]) == set()


def test_cancelling_says_where_the_request_was() -> None:
    admission.admit(CONVEX, "a")
    admission.admit(CONVEX, "b")
    held = claimed()
    assert admission.cancel(CONVEX, "b") is Whereabouts.WAITING
    assert admission.cancel(CONVEX, "b") is Whereabouts.ABSENT
    assert admission.cancel(CONVEX, "a") is Whereabouts.RUNNING
    assert admission.renew(held) is LeaseState.CANCELLED
    assert working.claim(CONVEX) is None


def test_a_cancelled_request_moves_the_others_up() -> None:
    for name in "abc":
        admission.admit(CONVEX, name)
    admission.cancel(CONVEX, "a")
    assert admission.position(CONVEX, "c") == 2


def test_the_load_of_a_lane_counts_waiting_held_and_lost(empty_queue: Redis) -> None:
    for name in "abc":
        admission.admit(CONVEX, name)
    assert admission.lane_load(CONVEX).is_unserved
    claimed()
    load = admission.lane_load(CONVEX)
    assert (load.waiting, load.held, load.lost) == (2, 1, 0)
    assert not load.is_unserved
    end_every_lease(empty_queue)
    load = admission.lane_load(CONVEX)
    assert (load.waiting, load.held, load.lost) == (2, 0, 1)
    assert load.is_unserved


def test_what_waits_and_what_runs_is_known_and_nothing_else() -> None:
    admission.admit(CONVEX, "a")
    admission.admit(HEURISTIC, "b")
    claimed()
    assert admission.known(["a", "b", "c"]) == {"a", "b"}
    assert admission.known([]) == set()


def test_four_producers_and_two_consumers_lose_and_repeat_nothing(settings: Settings) -> None:
    settings.MAX_QUEUE_SIZE = 20
    produced = threading.Event()

    def produce(producer: int) -> list[str]:
        admitted = []
        for number in range(100):
            name = f"{producer}-{number}"
            try:
                position = admission.admit(CONVEX, name)
            except QueueFullError:
                continue
            assert 1 <= position <= 20
            admitted.append(name)
        return admitted

    def consume() -> list[Claim]:
        claims: list[Claim] = []
        while True:
            finished = produced.is_set()
            claim = working.claim(CONVEX)
            if claim is not None:
                claims.append(claim)
                assert admission.finish(claim)
            elif finished:
                return claims

    with ThreadPoolExecutor(6) as pool:
        consumers = [pool.submit(consume) for _ in range(2)]
        producers = [pool.submit(produce, number) for number in range(4)]
        admitted = [name for producer in producers for name in producer.result()]
        produced.set()
        claims = [consumer.result() for consumer in consumers]
    taken = sorted((c for own in claims for c in own), key=lambda claim: claim.fence)
    assert sorted(c.request_id for c in taken) == sorted(admitted)
    for producer in range(4):
        of_one = [int(c.request_id[2:]) for c in taken if c.request_id.startswith(f"{producer}-")]
        assert of_one == sorted(of_one)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["admit", "claim", "finish", "cancel", "expire", "renew"]),
        st.integers(0, 5),
    ),
    max_size=40,
)


@hypothesis_settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(STEPS)
def test_whatever_happens_a_request_is_in_one_place_only(
    empty_queue: Redis, steps: list[tuple[str, int]]
) -> None:
    empty_queue.flushall()
    held: list[Claim] = []
    waiting: list[str] = []
    for step, number in steps:
        name = f"r{number}"
        if step == "admit" and name not in [c.request_id for c in held]:
            assert admission.admit(CONVEX, name) >= 1
            waiting += [name] if name not in waiting else []
        elif step == "claim":
            claim = working.claim(CONVEX)
            assert (claim and claim.request_id) == (waiting.pop(0) if waiting else None)
            held += [claim] if claim else []
        elif step == "finish" and held:
            assert admission.finish(held.pop(number % len(held)))
        elif step == "cancel" and name in waiting:
            assert admission.cancel(CONVEX, name) is Whereabouts.WAITING
            waiting.remove(name)
        elif step == "renew" and held:
            assert admission.renew(held[number % len(held)]) is not LeaseState.LOST
        elif step == "expire" and held:
            end_every_lease(empty_queue)
            lost = claimed()
            (old,) = [c for c in held if c.request_id == lost.request_id]
            assert not admission.finish(old)
            held[held.index(old)] = lost
            for other in held:
                admission.renew(other)
    assert [admission.position(CONVEX, name) for name in waiting] == [
        rank + 1 for rank in range(len(waiting))
    ]
    load = admission.lane_load(CONVEX)
    assert (load.waiting, load.held + load.lost) == (len(waiting), len(held))
