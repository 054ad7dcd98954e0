"""How fast one user, or one address, may ask the REST API."""

import logging
import time

from django.conf import settings
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from marketdata.redis_client import redis_client, redis_key
from optimization.submissions import Owner
from streaming.access.credentials import request_address
from streaming.access.rate import WINDOW_SECONDS

logger = logging.getLogger(__name__)


class RestThrottle(BaseThrottle):
    """Bounds the requests of ten seconds over all web processes; without Redis, nothing."""

    def clock(self) -> float:
        """Epoch seconds."""
        return time.time()

    def allow_request(self, request: Request, view: object) -> bool:  # noqa: ARG002
        """Whether one more request is within the rate."""
        owner = Owner.of(request.user)
        who = request_address(request.META) if owner.user_id is None else owner.key
        key = redis_key("rest", who, str(int(self.clock() // WINDOW_SECONDS)))
        try:
            with redis_client().pipeline(transaction=False) as pipe:
                pipe.incr(key)
                pipe.expire(key, int(2 * WINDOW_SECONDS))
                count, _ = pipe.execute()
        except RedisError as error:
            logger.warning("REST requests are not counted: %s", error)
            return True
        return bool(count <= settings.MAX_REST_REQUESTS_PER_SECOND * WINDOW_SECONDS)

    def wait(self) -> float:
        """Seconds until the window ends."""
        return WINDOW_SECONDS - self.clock() % WINDOW_SECONDS
