"""Bad input by the million, for everything that reads what strangers write.

``python -m tests.fuzz 1000000`` (``make fuzz``) runs it long; the tests run some thousands. Inputs
depend on the seed alone, and an input that raises what it must not is printed.
"""

import copy
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Json = Any
FRAMES: list[Json] = [
    {"type": "auth", "data": {"token": "qe_0123456789ab_" + "x" * 43}},
    {"type": "heartbeat", "data": {"status": "alive"}, "timestamp": 1.0, "request_id": "a"},
    {"type": "subscribe", "data": {"topic": "price_updates:AAPL"}},
    {"type": "unsubscribe", "data": {"topic": "portfolio_updates"}},
    {"type": "optimization_cancel", "data": {"request_id": "opt_a_1"}},
    {"type": "resume", "data": {"epoch": "e", "seq": 3, "client_id": "client1"}},
    {"type": "unwatch", "data": {"portfolio_id": "p"}},
    {
        "type": "optimization_request",
        "request_id": "mine",
        "data": {
            "symbols": ["AAPL", "MSFT", "KO"],
            "objective": "maximize_sharpe",
            "method": "simulated_annealing",
            "trigger": "price_change",
            "constraints": {
                "long_only": True,
                "sum_to_one": True,
                "min_weight": 0.0,
                "max_weight": 0.4,
                "cardinality": 2,
                "current_weights": {"AAPL": 0.5},
                "groups": {"tech": {"symbols": ["AAPL", "MSFT"], "max_weight": 0.5}},
            },
            "parameters": {"lookback": 252, "seed": 1, "time_limit": 1.5, "noise": 0.1},
            "metadata": {"note": "x"},
        },
    },
    {"type": "frontier_request", "data": {"symbols": ["AAPL", "KO"], "points": 20}},
    {
        "type": "watch",
        "data": {
            "name": "Desk",
            "symbols": ["AAPL", "KO"],
            "holdings": {"AAPL": 3.0, "KO": 7.5},
            "triggers": [
                {"kind": "price_change", "threshold": 0.01},
                {"kind": "time_based", "interval": 60.0},
                {"kind": "custom", "expression": "drawdown > 0.1 and volatility > 0.25"},
            ],
        },
    },
]
NASTY: list[Json] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0, 5e-324),
    *(1e308, 1e400, -1e400, float("nan"), "", "\0", "\u202e", "😀", "a" * 300, "AAPL", "NaN", "1"),
    *([], {}, [[]], [None], {"": {}}, {"__proto__": 1}, ["AAPL"] * 3, {"kind": "custom"}),
    *([[[[[[[[]]]]]]]], "' OR 1=1 --", "../../etc/passwd", "${7*7}", "{{7*7}}", "-1e999", "\ufeff"),
]
PIECES = ["{", "}", "[", "]", ",", ":", '"', "\\", "\\u0000", "\\ud800", "\n", "1e999", "null", "é"]


def nasty_frame(rng: random.Random) -> str:
    """A frame with some of its parts replaced, dropped or doubled; sometimes no JSON any more."""
    document = json.loads(json.dumps(rng.choice(FRAMES)))
    for _ in range(rng.randrange(4)):
        _spoil(rng, document)
    text = json.dumps(document, ensure_ascii=rng.random() < 0.5)
    return garble(rng, text) if rng.random() < 0.4 else text


def _spoil(rng: random.Random, document: Json) -> None:
    """Change one random place of a JSON document."""
    place = document
    while True:
        if not place:
            return
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        if not isinstance(place[key], dict | list) or rng.random() < 0.3:
            break
        place = place[key]
    match rng.randrange(4):
        case 0:
            del place[key]
        case 1 if isinstance(place, dict):
            place[rng.choice([*PIECES, "seed", "symbols", "kind"])] = copy.deepcopy(
                rng.choice(NASTY)
            )
        case _:
            place[key] = copy.deepcopy(rng.choice(NASTY))


def garble(rng: random.Random, text: str) -> str:
    """A text with some characters dropped, doubled, swapped or put in."""
    for _ in range(rng.randrange(1, 6)):
        here, there = rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)
        match rng.randrange(5):
            case 0:
                text = text[:here] + text[here + rng.randrange(4) :]
            case 1:
                text = text[:here] + rng.choice(PIECES) + text[here:]
            case 2:
                text = text[:here] + chr(rng.choice([rng.randrange(0x250), 0x1F600])) + text[here:]
            case 3:
                text = text[:here] + text[min(here, there) : max(here, there)][:60] + text[here:]
            case 4:
                text = text[:here]
    return text


def nasty_csv(rng: random.Random) -> list[str]:
    """Lines of a price file, long or wide, of which some are wrong."""
    cells = ["AAPL", "KO", "2020-01-02", "2020-13-45", "2999-01-01", "1.5", "-1", "0", "nan", "inf"]
    cells += [
        "1e400",
        "",
        " ",
        "\0",
        '"',
        '""',
        "x" * 200,
        "1,5",
        "1_000",
        "\u0661",
        "0x10",
        "Date",
    ]
    if rng.random() < 0.5:
        lines = ["date,symbol,close", "2020-01-02,AAPL,1.5", "2020-01-03,AAPL,1.6"]
    else:
        lines = ["date,AAPL,KO", "2020-01-02,1.5,2.5", "2020-01-03,1.6,"]
    for _ in range(rng.randrange(4)):
        lines.insert(
            rng.randrange(len(lines) + 1), ",".join(rng.choices(cells, k=rng.randrange(5)))
        )
    if rng.random() < 0.6:
        number = rng.randrange(len(lines))
        lines[number] = garble(rng, lines[number])
    return [line + "\n" for line in lines]


def nasty_expression(rng: random.Random) -> str:
    """A rule out of random parts, well formed now and then."""
    parts = [
        "drawdown",
        "volatility",
        "0.1",
        "1e308",
        "2",
        ">",
        "<=",
        "==",
        "and",
        "or",
        "not",
        "+",
    ]
    parts += ["-", "*", "/", "**", "%", "(", ")", "x", "if", "lambda", ":", "[", "]", ".", "'a'"]
    if rng.random() < 0.4:
        left, right = rng.choice(parts[:5]), rng.choice(parts[:5])
        text = f"{left} {rng.choice('+-*/')} {right} > {rng.choice(parts[:5])}"
    else:
        text = " ".join(rng.choices(parts, k=rng.randrange(1, 30)))
    return garble(rng, text) if rng.random() < 0.3 else text * rng.choice([1, 1, 1, 30])


def try_frame(rng: random.Random) -> str:
    """Decode a frame and take it as far as the services; a ``FrameError`` is the only refusal."""
    from optimization.submissions import Owner
    from streaming.decoding import FrameError, decode
    from streaming.orders import submission_of, watch_order_of
    from streaming.protocol import ClientMessage

    text = nasty_frame(rng).encode(errors="replace").decode()
    owner = Owner("user:1", 1)
    try:
        message = decode(text)
        if message.type in {ClientMessage.OPTIMIZATION_REQUEST, ClientMessage.FRONTIER_REQUEST}:
            submission_of(owner, "client1", message)
        elif message.type is ClientMessage.WATCH:
            watch_order_of(owner, message)
    except FrameError as error:
        return error.code.value
    return "accepted"


def try_csv(rng: random.Random) -> str:
    """Read a price file."""
    from marketdata.errors import InvalidPricesError
    from marketdata.price_file import parse_closes

    try:
        parse_closes(nasty_csv(rng))
    except InvalidPricesError:
        return "refused"
    return "accepted"


def try_expression(rng: random.Random) -> str:
    """Parse a rule, and ask it."""
    from optimization.watching.expressions import Expression, ExpressionError

    text = nasty_expression(rng)
    try:
        rule = Expression(text, ["drawdown", "volatility"])
    except ExpressionError:
        return "refused"
    bool(rule.holds({"drawdown": 0.2, "volatility": float("nan")}))
    return "accepted"


TARGETS: dict[str, Callable[[random.Random], str]] = {
    "frames": try_frame,
    "price files": try_csv,
    "expressions": try_expression,
}


def outcomes(target: str, count: int, seed: int) -> Iterator[str]:
    """What becomes of each input; anything else it raises names the input's seed."""
    attempt = TARGETS[target]
    for number in range(count):
        try:
            yield attempt(random.Random(f"{seed}/{number}"))
        except Exception as error:
            error.add_note(f"{target}: input {number} of seed {seed}")
            raise


def main() -> None:
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quantumedge.settings")
    import django

    django.setup()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for target in TARGETS:
        start = time.perf_counter()
        found: dict[str, int] = {}
        for outcome in outcomes(target, count, seed):
            found[outcome] = found.get(outcome, 0) + 1
        took = time.perf_counter() - start
        told = ", ".join(f"{name} {n}" for name, n in sorted(found.items()))
        print(f"{target}: {count} inputs, 0 uncaught, {took:.0f} s ({told})", flush=True)


if __name__ == "__main__":
    main()
