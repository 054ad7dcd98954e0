"""The supervisor with real, small processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from quantumedge import supervisor as module
from quantumedge.supervisor import Child, StartError, Supervisor

FOREVER = "import signal; signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True);"
    "[signal.pause() for _ in iter(int, 1)]"
)
PARENT = (
    "import subprocess, sys, signal;"
    f"child = subprocess.Popen([sys.executable, '-c', {FOREVER!r}]);"
    "print(child.pid, flush=True); signal.pause()"
)


def python(name: str, code: str, **options: object) -> Child:
    return Child(name, (sys.executable, "-c", code), **options)  # type: ignore[arg-type]


class Reports(list[str]):
    """Lines of a supervisor; a test waits for one instead of sleeping."""

    def __init__(self) -> None:
        self._arrived = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.append(line)
        self._arrived.set()

    async def wait_for(self, text: str) -> str:
        while True:
            for line in self:
                if text in line:
                    return line
            self._arrived.clear()
            await self._arrived.wait()


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop turns until a condition holds; pytest's own limit ends a test that hangs."""
    while not condition():
        await asyncio.to_thread(os.sched_yield)


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
async def supervisor(tmp_path: Path, reports: Reports) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "log", reports)
    yield supervisor
    await supervisor.stop()


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has waited for does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def test_a_child_that_is_killed_starts_again_and_the_report_says_why(
    supervisor: Supervisor, reports: Reports
) -> None:
    await supervisor.start(python("sleeper", FOREVER))
    first = supervisor.pid("sleeper")
    os.kill(first, signal.SIGKILL)
    line = await reports.wait_for("sleeper")
    assert "was ended by SIGKILL; starting it again in 0.2 s" in line
    await until(lambda: supervisor.pid("sleeper") != first)
    assert alive(supervisor.pid("sleeper"))


async def test_what_a_dead_child_had_started_dies_with_it(
    supervisor: Supervisor, reports: Reports
) -> None:
    await supervisor.start(python("parent", PARENT))
    await until(lambda: supervisor.last_line("parent").isdigit())
    grandchild = int(supervisor.last_line("parent"))
    os.kill(supervisor.pid("parent"), signal.SIGKILL)
    await until(lambda: not alive(grandchild))


async def test_the_pauses_grow_and_the_last_words_are_quoted(
    supervisor: Supervisor, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.001)
    await supervisor.start(python("failing", "raise SystemExit('no database')"))
    first = await reports.wait_for("0.001 s")
    assert "ended with code 1" in first
    assert first.endswith(": no database")
    await reports.wait_for("0.004 s")


async def test_an_essential_child_that_keeps_dying_before_the_start_is_an_error(
    supervisor: Supervisor,
) -> None:
    await supervisor.start(python("web", "raise SystemExit('bad import')", essential=True))
    with pytest.raises(StartError, match=r"web does not start: .*bad import"):
        await supervisor.failed()


async def test_an_essential_child_may_die_often_once_everything_was_up(
    supervisor: Supervisor, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.001)
    supervisor.settle()
    await supervisor.start(python("web", "raise SystemExit(3)", essential=True))
    await reports.wait_for("0.016 s")


async def test_a_missing_program_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(StartError, match="/nowhere/valkey-server: No such file"):
        await supervisor.start(Child("valkey", ("/nowhere/valkey-server",)))


async def test_children_stop_phase_by_phase_and_the_deaf_are_killed(
    tmp_path: Path, reports: Reports
) -> None:
    supervisor = Supervisor(tmp_path, reports)
    order = tmp_path / "order"
    note = (
        "import signal, sys, pathlib\n"
        "def end(*_):\n"
        f"    with open({str(order)!r}, 'a') as file: file.write(sys.argv[1])\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('ready', flush=True); signal.pause()"
    )
    for phase, name in enumerate("abc"):
        command = (sys.executable, "-c", note, name)
        await supervisor.start(Child(name, command, stop_phase=-phase))
    await supervisor.start(python("deaf", STUBBORN, grace=0.1))
    await until(lambda: all(supervisor.last_line(name) for name in ("a", "b", "c", "deaf")))
    pids = [supervisor.pid(name) for name in ("a", "b", "c", "deaf")]
    await supervisor.stop()
    assert order.read_text() == "cba"
    assert not any(alive(pid) for pid in pids)
    assert list(reports) == ["deaf did not stop in 0.1 s; killing it"]


async def test_a_large_log_is_set_aside_when_its_process_starts(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_LIMIT_BYTES", 10)
    supervisor.log_folder.mkdir()
    supervisor.log_path("talker").write_text("old words, many of them\n")
    await supervisor.start(python("talker", f"print('new', flush=True); {FOREVER}"))
    await until(lambda: supervisor.last_line("talker") == "new")
    assert "old words" in (supervisor.log_folder / "talker.log.1").read_text()


def test_a_killed_supervisor_leaves_no_orphan(tmp_path: Path) -> None:
    code = (
        "import asyncio, pathlib, sys\n"
        "from quantumedge.supervisor import Child, Supervisor\n"
        "async def main():\n"
        f"    supervisor = Supervisor(pathlib.Path({str(tmp_path)!r}), print)\n"
        f"    await supervisor.start(Child('c', (sys.executable, '-c', {FOREVER!r})))\n"
        "    print(supervisor.pid('c'), flush=True)\n"
        "    await supervisor.failed()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
    while alive(child):
        os.sched_yield()


@pytest.mark.parametrize("options", [{"command": ()}, {"command": ("true",), "grace": 0.0}])
def test_a_child_without_command_or_grace_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="needs a command"):
        Child("broken", **options)  # type: ignore[arg-type]


SERVING = (
    "import os, signal, socket;"
    "print('up', os.getpid(), flush=True);"
    "word = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
    "'NOTIFY_SOCKET' in os.environ and word.sendto(b'READY=1', os.environ['NOTIFY_SOCKET']);"
    "signal.pause()"
)


async def test_a_child_is_replaced_by_one_that_was_ready_before_its_end(
    supervisor: Supervisor,
) -> None:
    await supervisor.start(python("web", SERVING, tells_ready=True))
    old = psutil.Process(supervisor.pid("web"))
    await supervisor.replace("web")
    new = psutil.Process(supervisor.pid("web"))
    assert new.pid != old.pid
    assert new.is_running()
    assert not old.is_running()
    assert supervisor.names == ["web"]


async def test_a_successor_that_dies_leaves_the_old_process_in_its_place(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    # The program serves once; what is found in its place later ends at once.
    once = tmp_path / "once"
    code = f"import pathlib; pathlib.Path({str(once)!r}).touch(exist_ok=False);" + FOREVER
    await supervisor.start(python("web", code, tells_ready=True))
    await until(once.exists)
    old = supervisor.pid("web")
    with pytest.raises(StartError, match="web was not replaced"):
        await supervisor.replace("web")
    assert supervisor.pid("web") == old
    assert psutil.Process(old).is_running()


async def test_a_child_that_cannot_tell_is_ended_before_its_successor_starts(
    supervisor: Supervisor,
) -> None:
    await supervisor.start(python("beat", FOREVER))
    old = supervisor.pid("beat")
    await supervisor.replace("beat")
    assert supervisor.pid("beat") != old
    assert not psutil.pid_exists(old)


async def test_a_replaced_child_is_watched_like_any_other(
    supervisor: Supervisor, reports: Reports
) -> None:
    await supervisor.start(python("web", SERVING, tells_ready=True))
    await supervisor.replace("web")
    os.kill(supervisor.pid("web"), signal.SIGKILL)
    assert "web was ended by SIGKILL" in await reports.wait_for("starting it again")
    assert len(reports) == 1


async def test_a_stop_in_the_middle_of_a_replacement_leaves_no_process(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    await supervisor.start(python("web", FOREVER, tells_ready=True))
    old = supervisor.pid("web")
    replacing = asyncio.create_task(supervisor.replace("web"))
    await until(lambda: supervisor.pid("web") != old)
    new = supervisor.pid("web")
    replacing.cancel()
    await asyncio.gather(replacing, return_exceptions=True)
    await supervisor.stop()
    assert not psutil.pid_exists(old)
    assert not psutil.pid_exists(new)
