"""Results that automatic triggers may reuse, for ``CACHE_TTL`` seconds and while quotes hold still.

Entries live in Django's cache. Django's cache cannot count its entries, so their ends are kept
beside it in a sorted set, and look-ups and hits in a hash.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import DEFAULT_CACHE_ALIAS, cache, caches
from redis.client import Pipeline

from marketdata.quotes import Quote, quotes_answer, quotes_question
from marketdata.redis_client import redis_client, redis_commands, redis_key
from optimization.models import OptimizationRequest


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Figures of the result cache over all processes.

    Attributes:
        total_entries: Results that can still be served.
        total_accesses: Look-ups since the server was set up.
        hits: Look-ups that found a result.
        ttl_seconds: How long a result is served.
    """

    total_entries: int
    total_accesses: int
    hits: int
    ttl_seconds: int


def cache_key(request: OptimizationRequest, data_version: str) -> str:
    """The key of a request's result: all that determines it and nothing else."""
    determinants = {
        "kind": request.kind,
        "symbols": request.symbols,
        "objective": request.objective,
        "constraints": request.constraints,
        "method": request.method,
        "parameters": request.parameters,
        "data_version": data_version,
    }
    canonical = json.dumps(determinants, sort_keys=True, separators=(",", ":"))
    return "result:" + hashlib.sha256(canonical.encode()).hexdigest()


def look_up(request: OptimizationRequest, data_version: str) -> dict[str, Any] | None:
    """The stored result, or None when there is none, it is too old, or quotes have moved."""
    key = cache_key(request, data_version)
    shared: Any = caches[DEFAULT_CACHE_ALIAS]
    counters = redis_key("cache", "counters")
    # One round trip: an automatic request is on its way from a tick to a client.
    stored, then, quoted, _ = redis_commands(
        [
            ("GET", shared.name_of(key)),
            ("GET", _quotes_key(key)),
            quotes_question(request.symbols),
            ("HINCRBY", counters, "accesses", 1),
        ]
    )
    if stored is None or then is None or not _hold(json.loads(then), quotes_answer(quoted)):
        return None
    redis_client().hincrby(counters, "hits", 1)
    return dict(shared.value_of(stored))


def store(
    request: OptimizationRequest,
    result: Mapping[str, Any],
    quotes: Mapping[str, Quote],
    pipe: Pipeline,
) -> None:
    """Keep a fresh result and its symbols' quotes when it was solved, once ``pipe`` is executed."""
    key = cache_key(request, request.data_version)
    shared: Any = caches[DEFAULT_CACHE_ALIAS]
    shared.set_in(pipe, key, dict(result), settings.CACHE_TTL)
    prices = {symbol: quote.price for symbol, quote in quotes.items()}
    pipe.set(_quotes_key(key), json.dumps(prices), ex=settings.CACHE_TTL)
    pipe.zadd(redis_key("cache", "ends"), {key: time.time() + settings.CACHE_TTL})


def purge() -> int:
    """Forget every stored result and return how many there were."""
    ends = redis_key("cache", "ends")
    members: Any = redis_client().zrange(ends, 0, -1)
    keys = [key.decode() for key in members]
    cache.delete_many(keys)
    redis_client().delete(ends, *map(_quotes_key, keys))
    return len(keys)


def statistics() -> CacheStatistics:
    """Count what the cache holds and served."""
    ends = redis_key("cache", "ends")
    with redis_client().pipeline() as pipe:
        pipe.zremrangebyscore(ends, "-inf", time.time())
        pipe.zcard(ends)
        pipe.hmget(redis_key("cache", "counters"), "accesses", "hits")
        _, entries, (accesses, hits) = pipe.execute()
    return CacheStatistics(int(entries), int(accesses or 0), int(hits or 0), settings.CACHE_TTL)


def _quotes_key(key: str) -> str:
    return redis_key("cache", "quotes", key)


def _hold(then: Mapping[str, float], now: Mapping[str, Quote]) -> bool:
    """Whether every quote is within ``CACHE_PRICE_TOLERANCE`` of the price that it was."""
    if then.keys() != now.keys():
        return False
    tolerance = settings.CACHE_PRICE_TOLERANCE
    return all(abs(now[symbol].price / price - 1.0) <= tolerance for symbol, price in then.items())
