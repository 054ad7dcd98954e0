"""The operator's switch for automatic triggers; manual requests are not concerned."""

from marketdata.redis_client import redis_client, redis_key


def triggers_pause() -> None:
    """Let no rule submit a request until triggers are resumed; alerts are still told."""
    redis_client().set(paused_key(), 1)


def triggers_resume() -> None:
    """Let rules submit again; what fired meanwhile is submitted at the next tick, once."""
    redis_client().delete(paused_key())


def triggers_paused() -> bool:
    """Whether an operator has paused the automatic triggers."""
    return bool(redis_client().exists(paused_key()))


def paused_key() -> str:
    """Key that exists while triggers are paused."""
    return redis_key("triggers", "paused")
