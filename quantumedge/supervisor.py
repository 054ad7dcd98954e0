"""Starts processes, starts again those that die, and stops all of them in order.

It knows nothing of Django: what runs is told by :class:`Child` values. A child gets a session of
its own, so that a terminal's Ctrl-C reaches the supervisor only; on Linux the kernel ends the
children of a supervisor that was killed.
"""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantumedge.readiness import expected_readiness

LOG_LIMIT_BYTES = 10_000_000
"""A log larger than this is set aside (one older copy is kept) when its process starts."""
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
STEADY_SECONDS = 10.0
"""A child that lived this long starts again after the first, shortest pause."""
READY_SECONDS = 60.0
"""Longest wait for a successor to say that it is ready."""
TRIES = 3
"""How often an essential child may die before everything was up once."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class StartError(Exception):
    """Something that the server cannot run without did not start; the message says what and why."""


@dataclass(frozen=True)
class Child:
    """One process to keep running.

    ``stop_phase``: children of a lower phase are stopped before those of a higher one;
    ``grace`` is how many seconds it has between SIGTERM and SIGKILL. Without an ``essential`` child
    the server does not start. One that ``tells_ready`` may run beside its predecessor, and is
    replaced without a gap.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_phase: int = 0
    grace: float = 2.0
    essential: bool = False
    nice: int = 0
    pass_fds: Sequence[int] = ()
    tells_ready: bool = False

    def __post_init__(self) -> None:
        if not self.command or self.grace <= 0:
            raise ValueError(f"child {self.name!r} needs a command and a positive grace")


class Supervisor:
    """Keeps children running until it is told to stop.

    Args:
        log_folder: Gets one NAME.log per child.
        report: Called with each line that the operator should read.
    """

    def __init__(self, log_folder: Path, report: Callable[[str], None]) -> None:
        self.log_folder = log_folder
        self.report = report
        self._running: dict[str, tuple[Child, asyncio.subprocess.Process]] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._settled = False
        self._failed: asyncio.Future[None] | None = None

    async def start(self, child: Child) -> None:
        """Start a child and watch over it from now on.

        Raises:
            StartError: Its program is missing or cannot be run.
        """
        self.log_folder.mkdir(parents=True, exist_ok=True)
        await self._spawn(child)
        self._watchers[child.name] = asyncio.create_task(self._watch(child))

    async def replace(self, name: str) -> None:
        """Put a new process in the place of a child, of what its program is by now.

        Where the new one can say that it is ready, the old one is only ended then.

        Raises:
            StartError: The new one does not start; the old one goes on.
        """
        child, old = self._running[name]
        self._watchers[name].cancel()
        try:
            if child.tells_ready:
                await self._spawn_ready(child)
                # Kept, so that stop() ends it should it interrupt this.
                self._running[f"{name}, replaced"] = (child, old)
                await self._end(child, old)
                del self._running[f"{name}, replaced"]
            else:
                await self._end(child, old)
                await self._spawn(child)
        finally:
            self._watchers[name] = asyncio.create_task(self._watch(child))

    async def _spawn_ready(self, child: Child) -> None:
        """Start a successor and wait until it serves; if it does not, nothing has changed."""
        before = self._running[child.name]
        async with expected_readiness() as readiness:
            await self._spawn(child, readiness.environment)
            _, new = self._running[child.name]
            try:
                is_ready = await _is_first(readiness.wait(), new.wait(), READY_SECONDS)
            except asyncio.CancelledError:
                self._running[child.name] = before
                await self._end(child, new)
                raise
        if not is_ready:
            self._running[child.name] = before
            await self._end(child, new)
            raise StartError(
                f"{child.name} was not replaced: the new process did not become ready"
                f" (its log: {self.log_path(child.name)}){_quoted(self.last_line(child.name))}"
            )

    def settle(self) -> None:
        """Everything was up once: from now on a child may die as often as it likes."""
        self._settled = True

    async def failed(self) -> None:
        """Wait until an essential child has failed for good.

        Raises:
            StartError: Always, when it ends at all.
        """
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        await self._failed

    async def stop(self) -> None:
        """Stop every child, phase by phase; whoever outlives its grace is killed."""
        for watcher in self._watchers.values():
            watcher.cancel()
        await asyncio.gather(*self._watchers.values(), return_exceptions=True)
        for phase in sorted({child.stop_phase for child, _ in self._running.values()}):
            group = [pair for pair in self._running.values() if pair[0].stop_phase == phase]
            await asyncio.gather(*(self._end(child, process) for child, process in group))
        self._running.clear()

    @property
    def names(self) -> list[str]:
        """The children, in the order in which they were started."""
        return list(self._running)

    def pid(self, name: str) -> int:
        """Process id of a child; a new one after each start."""
        return self._running[name][1].pid

    def log_path(self, name: str) -> Path:
        """Where a child's output goes."""
        return self.log_folder / f"{name}.log"

    def last_line(self, name: str) -> str:
        """What a child wrote last, to show why it died; empty if nothing."""
        try:
            with self.log_path(name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
                lines = file.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    async def _spawn(self, child: Child, environment: Mapping[str, str] | None = None) -> None:
        path = self.log_path(child.name)
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        # Opened here and closed at once: the child keeps its own copy of the descriptor.
        with path.open("ab") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *child.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                    env={**os.environ, **child.environment, **(environment or {})},
                    start_new_session=True,
                    pass_fds=child.pass_fds,
                    preexec_fn=_before_exec(os.getpid(), child.nice),
                )
            except OSError as error:
                raise StartError(
                    f"{child.name} cannot be started: {child.command[0]}: {error.strerror}"
                ) from error
        self._running[child.name] = (child, process)

    async def _watch(self, child: Child) -> None:
        pause, deaths = FIRST_PAUSE_SECONDS, 0
        while True:
            _, process = self._running[child.name]
            started = time.monotonic()
            code = await process.wait()
            # What it started must not run beside its successor.
            _kill_group(process.pid)
            deaths += 1
            if child.essential and not self._settled and deaths >= TRIES:
                self._give_up(child, code)
                return
            if time.monotonic() - started > STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self.report(
                f"{child.name} {_ending(code)}; starting it again in {pause:g} s"
                f" (its log: {self.log_path(child.name)}){_quoted(self.last_line(child.name))}"
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            await self._spawn(child)

    def _give_up(self, child: Child, code: int) -> None:
        error = StartError(
            f"{child.name} does not start: it {_ending(code)} {TRIES} times"
            f" (its log: {self.log_path(child.name)}){_quoted(self.last_line(child.name))}"
        )
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        if not self._failed.done():
            self._failed.set_exception(error)

    async def _end(self, child: Child, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), child.grace)
            except TimeoutError:
                self.report(f"{child.name} did not stop in {child.grace:g} s; killing it")
        _kill_group(process.pid)
        await process.wait()


async def _is_first(
    wanted: Coroutine[Any, Any, object], other: Coroutine[Any, Any, object], limit: float
) -> bool:
    """Whether one thing happens before another does and before the time is over."""
    tasks = [asyncio.create_task(wanted), asyncio.create_task(other)]
    try:
        await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].done()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _before_exec(supervisor: int, nice: int) -> Callable[[], None]:
    """What a child does between fork and exec."""

    def run() -> None:
        if nice:
            os.nice(nice)
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            # The supervisor may have died before the line above.
            if os.getppid() != supervisor:
                os._exit(1)

    return run


def _kill_group(leader: int) -> None:
    """Kill what is left of a child's process group."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Nothing is left; macOS says "not permitted" about a group of zombies.
        return


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"


def _quoted(line: str) -> str:
    return f": {line}" if line else ""
