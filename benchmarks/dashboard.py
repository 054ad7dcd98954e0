"""What the dashboard costs the browser: bytes, time until usable, main thread per price update.

    python benchmarks/dashboard.py http://127.0.0.1:8000/

The page is the one that the given server serves, through a proxy that lets everything pass but
prices: in their place it sends 50 symbols ten times a second, more than the sample feed does. The
parts of an update come from a trace of their own, because tracing itself costs. Needs Debian's
chromium.
"""

import asyncio
import json
import random
import statistics
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

SYMBOLS = [f"S{number:02d}" for number in range(50)]
HERTZ = 10
SECONDS = 20
LOADS = 7
DIST = Path(__file__).resolve().parents[1] / "streaming" / "dashboard" / "dist"
PARTS = {
    "script": ("FunctionCall", "EvaluateScript", "FireAnimationFrame", "TimerFire", "V8.", "v8."),
    "style": ("UpdateLayoutTree", "Document::recalcStyle", "Document::updateStyle"),
    "layout": ("Layout", "LocalFrameView::performLayout", "Blink.Layout", "InlineNode"),
    "paint": ("PrePaint", "Paint", "Layerize", "Commit", "Blink.Pre", "Blink.Paint", "Blink.Comp"),
}
"""Beginnings of the trace events of each part; the rest is the browser's own bookkeeping."""


def price_frame(generator: random.Random) -> str:
    """A frame as the server would send it, with a new price of every symbol."""
    now = time.time()
    prices = {
        symbol: {
            "price": 100 + generator.gauss(0, 1),
            "timestamp": now,
            "source": "simulated",
            "feed": "benchmark",
        }
        for symbol in SYMBOLS
    }
    return json.dumps({"type": "price_update", "data": {"prices": prices}, "timestamp": now})


class Proxy:
    """The server on another port, with the benchmark's prices once :attr:`sending` is set.

    A proxy, because a socket that Playwright replaces is itself script on the page's main thread.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.rstrip("/")
        self.sending = threading.Event()
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Serve on a free port, in a thread of its own."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), loop).result()
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._close(server), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _listen(self) -> Any:
        return await serve(self._relay, "127.0.0.1", 0, process_request=self._page)

    async def _close(self, server: Any) -> None:
        server.close()
        await server.wait_closed()

    async def _page(self, _connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/ws":
            return None
        return await asyncio.to_thread(self._fetch, request)

    def _fetch(self, request: Request) -> Response:
        kept = {
            name: value for name, value in request.headers.raw_items() if name.lower() != "host"
        }
        asked = urllib.request.Request(self.upstream + request.path, headers=kept)
        try:
            answer = urllib.request.urlopen(asked)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
            headers = Headers(
                (k, v) for k, v in answer.headers.items() if k.lower() != "connection"
            )
            return Response(answer.status, answer.reason, headers, body)

    async def _relay(self, browser: ServerConnection) -> None:
        address = self.upstream.replace("http", "ws", 1) + "/ws"
        async with connect(address) as server, asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._to_server(browser, server)),
                group.create_task(self._to_browser(browser, server)),
                group.create_task(self._prices(browser)),
            ]
            await browser.wait_closed()
            for task in tasks:
                task.cancel()

    async def _to_server(self, browser: ServerConnection, server: ClientConnection) -> None:
        async for text in browser:
            await server.send(text)

    async def _to_browser(self, browser: ServerConnection, server: ClientConnection) -> None:
        async for text in server:
            if '"price_update"' not in str(text):
                await browser.send(text)

    async def _prices(self, browser: ServerConnection) -> None:
        generator = random.Random(0)
        await browser.send(price_frame(generator))
        while True:
            await asyncio.sleep(1 / HERTZ)
            if self.sending.is_set():
                await browser.send(price_frame(generator))


def task_seconds(session: CDPSession) -> float:
    """Seconds that the main thread has worked so far: script, style, layout and paint."""
    metrics: dict[str, Any] = session.send("Performance.getMetrics")
    return float(next(m["value"] for m in metrics["metrics"] if m["name"] == "TaskDuration"))


def measure_updates(page: Page, proxy: Proxy) -> tuple[float, float]:
    """Milliseconds per update, and those of the same time without updates."""
    session = page.context.new_cdp_session(page)
    # Time on the CPU: a busy machine does not count.
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    updates = HERTZ * SECONDS
    spent = []
    for sending in (False, True):
        if sending:
            proxy.sending.set()
        before = task_seconds(session)
        page.wait_for_timeout(SECONDS * 1000)
        spent.append(task_seconds(session) - before)
    proxy.sending.clear()
    session.detach()
    idle, busy = spent
    return (busy - idle) * 1000 / updates, idle * 1000 / updates


def trace_updates(browser: Browser, page: Page, proxy: Proxy) -> dict[str, float]:
    """Milliseconds per update and part, from a trace of the page's main thread."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        proxy.sending.set()
        browser.start_tracing(
            page=page, path=path, categories=["devtools.timeline", "v8", "toplevel", "blink"]
        )
        page.wait_for_timeout(SECONDS * 1000)
        browser.stop_tracing()
        proxy.sending.clear()
        events: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    sums = dict.fromkeys((*PARTS, "rest"), 0.0)
    for name, milliseconds in self_times(main_thread(events)):
        part = next((part for part, names in PARTS.items() if name.startswith(names)), "rest")
        sums[part] += milliseconds / (HERTZ * SECONDS)
    return sums


def main_thread(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The complete events of the thread that paints the page, in order."""
    threads = Counter((e["pid"], e["tid"]) for e in events if e["name"] == "Paint")
    ((thread, _),) = threads.most_common(1)
    own = (e for e in events if e["ph"] == "X" and (e["pid"], e["tid"]) == thread)
    return sorted(own, key=lambda event: (event["ts"], -event["dur"]))


def self_times(events: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Name and milliseconds on the CPU of each event, without those of the events inside it."""
    spent = [event.get("tdur", event["dur"]) / 1000 for event in events]
    around: list[int] = []
    for number, event in enumerate(events):
        while around and events[around[-1]]["ts"] + events[around[-1]]["dur"] <= event["ts"]:
            around.pop()
        if around:
            spent[around[-1]] -= event.get("tdur", event["dur"]) / 1000
        around.append(number)
    return [(event["name"], own) for event, own in zip(events, spent, strict=True)]


def usable_after(browser: Browser, url: str) -> tuple[float, float]:
    """Seconds from asking for the page to its first picture, and to a form that can be sent.

    In a context of its own: nothing comes from the cache.
    """
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(url)
        page.get_by_text("Live", exact=True).wait_for()
        first, usable = page.evaluate(
            "() => ['first-contentful-paint', 'usable'].map("
            "name => performance.getEntriesByName(name)[0].startTime / 1000)"
        )
        return float(first), float(usable)


def gzipped() -> dict[str, float]:
    """KiB of each built file as the browser receives it."""
    manifest = json.loads((DIST / "manifest.json").read_text())
    names = {name for e in manifest.values() for name in (e["file"], *e.get("css", ()))}
    return {name: (DIST / f"{name}.gz").stat().st_size / 1024 for name in sorted(names)}


def main() -> None:
    """Measure and print."""
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/"
    print(f"size           {sum(gzipped().values()):.1f} KiB gzipped (budget 150)")
    with sync_playwright() as library:
        browser = library.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        # The browser itself starts with its first page.
        usable_after(browser, url)
        loads = [usable_after(browser, url) for _ in range(LOADS)]
        pictured, usable = (statistics.median(times) for times in zip(*loads, strict=True))
        slowest = max(last for _, last in loads)
        print(f"first picture  {pictured:.2f} s (median of {LOADS}, nothing cached)")
        print(f"usable         {usable:.2f} s (slowest {slowest:.2f}; budget 1)")
        with Proxy(url).running() as proxy:
            page = browser.new_page(viewport={"width": 1920, "height": 1080})
            page.goto(proxy.url)
            page.get_by_text(SYMBOLS[-1]).first.wait_for(state="attached")
            page.wait_for_timeout(3000)
            cost, idle = measure_updates(page, proxy)
            print(
                f"price update   {cost:.2f} ms of main thread (budget 4); besides it {idle:.2f} ms"
            )
            parts = trace_updates(browser, page, proxy)
            shown = ", ".join(f"{part} {own:.2f}" for part, own in parts.items())
            print(f"of it, traced  {shown}")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
