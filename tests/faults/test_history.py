"""The checker accepts a sound run and names each way in which a run was doctored."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.history import Direction, Event, Frame, Row, Run, violations

LIMIT = 2

Parts = tuple[list[Event], list[Row]]


def sent(
    at: float, kind: str, client: str = "ann", key: str | None = None, **data: object
) -> Event:
    frame: Frame = {"type": kind, "data": data}
    return Event(at, client, Direction.SENT, frame | ({"request_id": key} if key else {}))


def heard(
    at: float, kind: str, request_id: str | None, key: str | None = None, **more: object
) -> Event:
    """A frame about a request; ``seq`` and ``epoch`` go into the envelope."""
    envelope: Frame = {name: more.pop(name) for name in ("seq", "epoch") if name in more}
    client = str(more.pop("client", "ann"))
    data = {"request_id": request_id, **more}
    if kind == "error":
        frame: Frame = {"type": "error", "data": data, **envelope}
    else:
        frame = {"type": "portfolio_update", "data": {"type": kind, **data}, **envelope}
    return Event(at, client, Direction.RECEIVED, frame | ({"request_id": key} if key else {}))


def row(name: str, fence: int, began: float, **changes: object) -> Row:
    fields: dict[str, object] = {
        "request_id": f"opt_{name}",
        "key": name,
        "owner": "local",
        "lane": "convex",
        "status": "succeeded",
        "fence": fence,
        "attempt": 1,
        "left_queue_at": began,
    }
    return Row(**{**fields, **changes})  # type: ignore[arg-type]  # a table of fields


def sound() -> Parts:
    """Three requests of one client, of which the last is refused; another one listens."""
    events = [
        *(
            sent(0, "subscribe", "bob", topic=topic)
            for topic in ("portfolio_updates", "risk_alerts")
        ),
        sent(1.0, "optimization_request", key="a"),
        heard(1.1, "optimization_queued", "opt_a", "a", queue_position=1),
        sent(1.2, "optimization_request", key="b"),
        heard(1.3, "optimization_queued", "opt_b", "b", queue_position=2),
        sent(1.4, "optimization_request", key="c"),
        heard(1.5, "error", None, "c", code="queue_full"),
    ]
    for at, name, seq in ((2.5, "a", 7), (3.5, "b", 8)):
        for client in ("ann", "bob"):
            end = heard(
                at, "optimization_result", f"opt_{name}", name, seq=seq, epoch="e", client=client
            )
            events.append(end)
    return events, [row("a", 10, 2.0), row("b", 11, 3.0)]


def test_a_sound_run_breaks_no_promise() -> None:
    events, rows = sound()
    assert violations(Run(events, rows), limit=LIMIT) == []


def unfinished(events: list[Event], rows: list[Row]) -> Parts:
    return events, [replace(rows[0], status="running"), rows[1]]


def lost_row(events: list[Event], rows: list[Row]) -> Parts:
    return events, rows[:1]


def lost_end(events: list[Event], rows: list[Row]) -> Parts:
    return [e for e in events if not (e.client == "ann" and e.frame.get("seq") == 8)], rows


def repeated_end(events: list[Event], rows: list[Row]) -> Parts:
    again = heard(4.0, "optimization_result", "opt_a", "a")
    return [*events, again], rows


def repeated_end_to_a_listener(events: list[Event], rows: list[Row]) -> Parts:
    again = heard(4.0, "optimization_result", "opt_a", "a", seq=9, epoch="e", client="bob")
    return [*events, again], rows


def two_different_ends(events: list[Event], rows: list[Row]) -> Parts:
    ask_again = sent(3.8, "optimization_request", key="a")
    return [*events, ask_again, heard(4.0, "optimization_cancelled", "opt_a", "a")], rows


def end_of_nothing(events: list[Event], rows: list[Row]) -> Parts:
    return [*events, heard(4.0, "optimization_result", "opt_x", "x", client="bob")], rows


def unanswered(events: list[Event], rows: list[Row]) -> Parts:
    return [*events, sent(4.0, "optimization_request", key="d")], rows


def refused_and_kept(events: list[Event], rows: list[Row]) -> Parts:
    return events, [*rows, row("c", 12, 3.5)]


def two_rows_of_one_key(events: list[Event], rows: list[Row]) -> Parts:
    return events, [*rows, row("a", 12, 3.5, request_id="opt_a2")]


def two_requests_of_one_key(events: list[Event], rows: list[Row]) -> Parts:
    queued = heard(4.0, "optimization_queued", "opt_a2", "a", queue_position=1)
    ended = heard(4.1, "optimization_result", "opt_a2", "a", seq=9, epoch="e")
    return [*events, queued, ended], [*rows, row("other", 12, 4.0, request_id="opt_a2")]


def number_twice(events: list[Event], rows: list[Row]) -> Parts:
    started = heard(4.0, "risk", None, seq=8, epoch="e")
    return [*events, started], rows


def number_missing(events: list[Event], rows: list[Row]) -> Parts:
    return [*events, heard(4.0, "risk", None, seq=10, epoch="e", client="bob")], rows


def overtaken(events: list[Event], rows: list[Row]) -> Parts:
    return events, [replace(rows[0], fence=12), rows[1]]


def three_waiting(events: list[Event], rows: list[Row]) -> Parts:
    events[7] = heard(1.5, "optimization_queued", "opt_c", "c", queue_position=2)
    ended = heard(4.5, "optimization_result", "opt_c", "c")
    return [*events, ended], [*rows, row("c", 12, 4.0)]


def place_beyond_the_limit(events: list[Event], rows: list[Row]) -> Parts:
    events[5] = heard(1.3, "optimization_queued", "opt_b", "b", queue_position=3)
    return events, rows


DOCTORED: dict[Callable[[list[Event], list[Row]], Parts], str] = {
    unfinished: "opt_a is still running",
    lost_row: "opt_b was accepted and has no row",
    lost_end: "ann never heard the end of opt_b",
    repeated_end: "ann asked 1 times for opt_a and heard 2 ends",
    repeated_end_to_a_listener: "bob overheard 2 ends of opt_a",
    two_different_ends: "which succeeded",
    end_of_nothing: "opt_x, which has no row",
    unanswered: "ann was never answered about d",
    refused_and_kept: "c was refused (queue_full) and left opt_c",
    two_rows_of_one_key: "local has 2 rows for a",
    two_requests_of_one_key: "ann was told of ['opt_a', 'opt_a2'] for a",
    number_twice: "ann got [8] of epoch e more than once",
    number_missing: "bob missed [9] of epoch e",
    overtaken: "1 of the convex lane were overtaken (0 may be): ['opt_a']",
    three_waiting: "3 waited at once, and 2 may",
    place_beyond_the_limit: "opt_b was given place 3",
}


@pytest.mark.parametrize("doctor", DOCTORED, ids=lambda doctor: doctor.__name__)
def test_a_doctored_run_is_found_out(doctor: Callable[[list[Event], list[Row]], Parts]) -> None:
    found = violations(Run(*doctor(*sound())), limit=LIMIT)
    assert any(DOCTORED[doctor] in line for line in found), found


def test_a_request_that_a_fault_held_up_may_be_overtaken_where_that_is_said() -> None:
    events, rows = overtaken(*sound())
    assert violations(Run(events, rows), limit=LIMIT, overtaken=1) == []


def test_requests_that_were_on_their_way_at_the_same_time_may_be_served_in_either_order() -> None:
    events, rows = overtaken(*sound())
    events[4] = sent(1.05, "optimization_request", key="b")
    assert violations(Run(events, rows), limit=LIMIT) == []


def test_who_was_told_that_it_is_not_recovered_may_have_a_gap_there() -> None:
    events, rows = number_missing(*sound())
    told = Event(3.9, "bob", Direction.RECEIVED, {"type": "resume", "data": {"recovered": False}})
    assert violations(Run([*events[:-1], told, events[-1]], rows), limit=LIMIT) == []


def test_who_asks_again_may_be_told_the_same_end_again() -> None:
    events, rows = repeated_end(*sound())
    again = sent(3.9, "optimization_request", key="a")
    assert violations(Run([*events, again], rows), limit=LIMIT) == []


def test_a_request_without_a_key_cannot_be_judged() -> None:
    events, rows = sound()
    with pytest.raises(ValueError, match="no key"):
        violations(Run([*events, sent(9, "optimization_request")], rows), limit=LIMIT)
