"""What the dashboard costs the browser: bytes, time until usable, main thread per price update.

    python benchmarks/dashboard.py http://127.0.0.1:8000/

The page is the one that the given server serves; its connection is replaced by one that sends 50
symbols ten times a second, more than the sample feed does. Needs Debian's chromium.
"""

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page, WebSocketRoute, sync_playwright

SYMBOLS = [f"S{number:02d}" for number in range(50)]
HERTZ = 10
SECONDS = 20
DIST = Path(__file__).resolve().parents[1] / "streaming" / "dashboard" / "dist"


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


def task_seconds(session: CDPSession) -> float:
    """Seconds that the main thread has worked so far: script, style, layout and paint."""
    metrics: dict[str, Any] = session.send("Performance.getMetrics")
    return float(next(m["value"] for m in metrics["metrics"] if m["name"] == "TaskDuration"))


def measure_updates(page: Page, url: str) -> tuple[float, float]:
    """Milliseconds per update, and those of the same time without updates."""
    routes: list[WebSocketRoute] = []

    def forward(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        server.on_message(lambda text: None if '"price_update"' in str(text) else route.send(text))
        routes.append(route)

    page.route_web_socket("**/ws", forward)
    page.goto(url)
    page.get_by_text("Live", exact=True).wait_for()
    generator = random.Random(0)
    routes[0].send(price_frame(generator))
    page.get_by_text("S49").first.wait_for(state="attached")
    session = page.context.new_cdp_session(page)
    # Time on the CPU: a busy machine does not count.
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    updates = HERTZ * SECONDS
    before = task_seconds(session)
    page.wait_for_timeout(SECONDS * 1000)
    idle = task_seconds(session) - before
    before = task_seconds(session)
    for _ in range(updates):
        routes[0].send(price_frame(generator))
        page.wait_for_timeout(1000 / HERTZ)
    busy = task_seconds(session) - before
    return (busy - idle) * 1000 / updates, idle * 1000 / updates


def usable_after(page: Page, url: str) -> float:
    """Seconds from asking for the page to a form that can be sent over an open connection."""
    begun = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.get_by_text("Live", exact=True).wait_for()
    return time.perf_counter() - begun


def gzipped() -> dict[str, float]:
    """KiB of each built file as the browser receives it."""
    manifest = json.loads((DIST / "manifest.json").read_text())
    names = {name for e in manifest.values() for name in (e["file"], *e.get("css", ()))}
    return {name: (DIST / f"{name}.gz").stat().st_size / 1024 for name in sorted(names)}


def main() -> None:
    """Measure and print."""
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/"
    sizes = gzipped()
    print(f"size           {sum(sizes.values()):.1f} KiB gzipped (budget 150)")
    with sync_playwright() as library:
        browser = library.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        cold = usable_after(browser.new_page(), url)
        page = browser.new_page()
        usable_after(page, url)
        warm = usable_after(page, url)
        print(f"usable         {cold:.2f} s at first, {warm:.2f} s from the cache (budget 1)")
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        cost, idle = measure_updates(page, url)
        print(f"price update   {cost:.2f} ms of main thread (budget 4); besides it {idle:.2f} ms")
        browser.close()


if __name__ == "__main__":
    main()
