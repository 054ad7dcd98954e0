"""Tasks that beat sends again and again."""

from marketdata.redis_client import redis_client, redis_key

LEAST_SECONDS = 2
"""A periodic task that was begun less than this ago is left out."""


def is_due(task: str) -> bool:
    """Whether to run a periodic task now; what piled up while no worker was there goes by at once.

    Instead of Celery's own expiry, which compares the clocks of two hosts.
    """
    return bool(redis_client().set(redis_key("periodic", task), 1, nx=True, ex=LEAST_SECONDS))
