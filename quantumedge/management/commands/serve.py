"""``manage.py serve``: the whole server in the foreground, until Ctrl-C."""

import asyncio
import errno
import os
import signal
import socket
import sys
import time

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from websockets.exceptions import WebSocketException

from quantumedge import processes
from quantumedge.announcing import Announcer, ForOperators, ForPrograms, Ready
from quantumedge.first_optimisation import OptimisationRefusedError, Outcome, optimise
from quantumedge.listening import listen
from quantumedge.preparation import (
    check_broker,
    check_settings,
    lock_folder,
    prepare_database,
    wait_for_redis,
)
from quantumedge.supervisor import StartError, Supervisor

READY_SECONDS = 90.0
"""Longest wait for the first result; the first start on a slow machine needs some of it."""


class Command(BaseCommand):
    """Start, watch and stop everything that the server needs."""

    help = (
        "Start the whole server: web, workers, feed and, without REDIS_URL, a private Valkey."
        " Ctrl-C stops all of it; SIGUSR1 replaces its processes one by one, losing nothing."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen, and whom to tell."""
        parser.add_argument("--host", default=settings.HOST, help="address (default: %(default)s)")
        parser.add_argument(
            "--port",
            type=int,
            default=settings.PORT,
            help="TCP port, 0 for a free one (default: %(default)s)",
        )
        parser.add_argument(
            "--json", action="store_true", help="print every event as a line of JSON"
        )

    def handle(self, *, host: str, port: int, **options: object) -> None:
        """Run until a signal ends it."""
        # --host and --port count as settings, for the checks and for the children.
        settings.HOST, settings.PORT = host, port
        try:
            check_settings()
            with lock_folder(settings.DATA_DIR), open_port(host, port) as listener:
                os.environ["HOST"], os.environ["PORT"] = host, str(listener.getsockname()[1])
                told = ForPrograms(sys.stdout) if options["json"] else ForOperators()
                asyncio.run(Serving(listener, host, told).run())
        except StartError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            # Before the event loop took over the signal: nothing has been started yet.
            raise CommandError("stopped before it had started", returncode=130) from None


def open_port(host: str, port: int) -> socket.socket:
    """The listening socket.

    Raises:
        StartError: The port is in use, or the address is not ours.
    """
    try:
        return listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"port {port} is in use: stop the other program, or take another port"
                " (PORT=9000 make run)"
            ) from error
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror}") from error


class Serving:
    """One run of the server, from the first process to the last."""

    def __init__(self, listener: socket.socket, host: str, announcer: Announcer) -> None:
        self.began = time.monotonic()
        self.announcer = announcer
        self.say = announcer.say
        self.supervisor = Supervisor(settings.DATA_DIR / "log", self.say)
        self.stopping = asyncio.Event()
        self.ready = False
        self.replacing: asyncio.Task[None] | None = None
        self.listener = listener
        name = f"[{host.strip('[]')}]" if ":" in host else host
        self.address = f"{name}:{listener.getsockname()[1]}"

    async def run(self) -> None:
        """Start everything, say that it is ready, and stop everything at the first signal.

        Raises:
            StartError: Something did not start; what had been started is stopped again.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGUSR1, self._replace_all)
        stopped = asyncio.create_task(self.stopping.wait())
        work = asyncio.create_task(self._start_all())
        failure = asyncio.create_task(self.supervisor.failed())
        try:
            await asyncio.wait((stopped, work, failure), return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                await asyncio.wait((work, failure), return_when=asyncio.FIRST_COMPLETED)
                (failure if failure.done() else work).result()
                await stopped
        finally:
            await self._stop_all(work, failure, stopped)

    async def _start_all(self) -> None:
        if settings.EMBEDDED_REDIS:
            await self.supervisor.start(processes.valkey())
        patience = READY_SECONDS if settings.EMBEDDED_REDIS else 0.0
        await asyncio.to_thread(wait_for_redis, patience)
        await asyncio.to_thread(check_broker)
        await asyncio.to_thread(prepare_database, self.say)
        with self.announcer.waiting("Starting the processes, solving a first portfolio"):
            for number in range(1, settings.WEB_PROCESSES + 1):
                await self.supervisor.start(processes.web(number, self.listener.fileno()))
            await self.supervisor.start(processes.worker("convex"))
            if settings.FEED != "none":
                await self.supervisor.start(processes.feed())
            await self.supervisor.start(processes.beat())
            first = await self._first_outcome()
        # PennyLane takes seconds to import: after the ready line, not in its way.
        for lane in ("heuristic", "quantum"):
            await self.supervisor.start(processes.worker(lane, nice=10))
        self.supervisor.settle()
        self.ready = True
        seconds = time.monotonic() - self.began
        self.announcer.ready(Ready(f"http://{self.address}/", seconds, first))

    def _replace_all(self) -> None:
        """Begin to replace every process, unless that goes on already."""
        if not self.ready or (self.replacing is not None and not self.replacing.done()):
            self.say("Not replacing the processes: wait until the server is ready")
            return
        self.replacing = asyncio.create_task(self._replace_each())

    async def _replace_each(self) -> None:
        began = time.monotonic()
        try:
            for name in self.supervisor.names:
                if name != processes.VALKEY:
                    await self.supervisor.replace(name)
                    self.say(f"Replaced {name}")
        except StartError as error:
            self.say(str(error))
            return
        self.say(f"Replaced every process in {time.monotonic() - began:.1f} s")

    async def _first_outcome(self) -> Outcome | str:
        """The first optimisation's outcome, or why there is none.

        Raises:
            StartError: It did not come back.
        """
        if not settings.LOCAL_MODE:
            return "sign-in required (manage.py createsuperuser makes the first account)"
        try:
            async with asyncio.timeout(READY_SECONDS):
                return await optimise(f"ws://{self.address}/ws")
        except OptimisationRefusedError as error:
            return f"first optimisation refused: {error}"
        except (TimeoutError, OSError, WebSocketException) as error:
            raise StartError(
                f"the first optimisation did not come back ({str(error) or 'no answer in time'}):"
                f" see the logs in {self.supervisor.log_folder}"
            ) from error

    async def _stop_all(self, *tasks: "asyncio.Task[object]") -> None:
        """End every child, and then the process, whatever its threads still do."""
        if self.replacing is not None:
            tasks = (*tasks, self.replacing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        began = time.monotonic()
        if self.stopping.is_set():
            self.say("Stopping")
        await self.supervisor.stop()
        if self.stopping.is_set():
            self.say(f"Stopped in {time.monotonic() - began:.1f} s")
