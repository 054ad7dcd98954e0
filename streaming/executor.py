"""Where blocking work of the web process runs: never on the event loop."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import close_old_connections

Result = TypeVar("Result")

# One thread keeps the order of one connection's frames and needs one database connection; the
# work is a few milliseconds, and SQLite writes one at a time in any case.
_POOL = ThreadPoolExecutor(max_workers=1, thread_name_prefix="services")


async def run_blocking(function: Callable[[], Result]) -> Result:
    """Run a function that talks to the database, Redis or the broker, and return its result."""

    def run() -> Result:
        close_old_connections()
        return function()

    # In the caller's context: what is logged there names the same request and client.
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_POOL, context.run, run)
