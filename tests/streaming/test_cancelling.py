"""Ending tasks for certain."""

import asyncio
from contextlib import suppress

from streaming.cancelling import end_tasks


async def test_a_task_that_swallows_cancellations_ends_all_the_same() -> None:
    swallowed = []

    async def stubborn() -> None:
        for number in range(3):
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            swallowed.append(number)
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(asyncio.Event().wait())]
    await asyncio.wait(tasks, timeout=0)
    await end_tasks(tasks)
    assert [task.cancelled() for task in tasks] == [True, True]
    assert swallowed == [0, 1, 2]


async def test_nothing_to_end_is_ended_at_once() -> None:
    await end_tasks([])
