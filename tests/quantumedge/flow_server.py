"""A web server whose application behaves as each test's path asks; prints the port it took."""

from quantumedge.webserver import PacedServer  # isort: skip

import asyncio
import json
import sys

from quantumedge.flow import FLOW, Flow, Message, Receive, Send
from quantumedge.listening import listen

CHUNK = "x" * 16_384
MIXED = 1000
gates: dict[str, asyncio.Event] = {}
counts: dict[str, int] = {}


async def application(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await answer(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    flow = scope["extensions"][FLOW]
    behaviours = {
        "/fill": fill,
        "/drop": drop,
        "/gated": gated,
        "/echo": echo,
        "/direct": direct,
        "/mixed": mixed,
    }
    await behaviours[scope["path"]](flow, receive, send)


async def answer(scope: Message, receive: Receive, send: Send) -> None:
    """``/open/NAME`` opens a gate; ``/body`` counts the body; all answer with the counts."""
    if scope["path"] == "/body":
        counts["body"] = 0
        while True:
            part = await receive()
            counts["body"] += len(part.get("body", b""))
            if not part.get("more_body"):
                break
    if scope["path"].startswith("/open/"):
        gates.setdefault(scope["path"].removeprefix("/open/"), asyncio.Event()).set()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(counts).encode()})


async def write_until_full(flow: Flow, send: Send) -> int:
    written = 0
    while flow.writable:
        await send({"type": "websocket.send", "text": CHUNK})
        written += 1
        # The reactor needs its turn to move bytes into the socket.
        await asyncio.sleep(0)
    return written


async def fill(flow: Flow, receive: Receive, send: Send) -> None:
    counts["fill"] = await write_until_full(flow, send)
    await flow.drained()
    await send({"type": "websocket.send", "text": "drained"})
    await send({"type": "websocket.close", "code": 4001})


async def mixed(flow: Flow, receive: Receive, send: Send) -> None:
    """Number messages, short and long, by the short way and by Channels' own in turns."""
    for _ in range(10):
        # Until the answer to the handshake is in the socket, nothing is written past it.
        await asyncio.sleep(0)
    for number in range(MIXED):
        text = f"{number:06d}" + CHUNK * (16 if number % 35 == 3 else 0)
        if number % 50 < 40:
            flow.send(text.encode())
        else:
            await send({"type": "websocket.send", "text": text})
        if number % 50 == 45:
            await asyncio.sleep(0)
    counts["mixed"] = MIXED
    await receive()


async def drop(flow: Flow, receive: Receive, send: Send) -> None:
    counts["drop"] = await write_until_full(flow, send)
    flow.abort()
    while (await receive())["type"] != "websocket.disconnect":
        pass
    await flow.drained()
    counts["dropped"] = 1


async def gated(flow: Flow, receive: Receive, send: Send) -> None:
    await gates.setdefault("gated", asyncio.Event()).wait()
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message["text"][:8]})


async def echo(flow: Flow, receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            counts["left"] = counts.get("left", 0) + 1
            return
        size = len(message.get("text") or message.get("bytes") or b"")
        await send({"type": "websocket.send", "text": str(size)})


async def direct(flow: Flow, receive: Receive, send: Send) -> None:
    """Takes messages as they come, but for those that begin with ``wait`` and those behind them."""

    def take(text: str | None) -> bool:
        if text is not None and text.startswith("wait"):
            return False
        flow.send(f"direct {text}".encode())
        return True

    flow.on_message(take)
    await send({"type": "websocket.send", "text": "ready"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await gates.setdefault("direct", asyncio.Event()).wait()
        if message["text"] == "wait for good":
            flow.on_message(None)
        await send({"type": "websocket.send", "text": f"inbox {message['text']}"})


if __name__ == "__main__":
    listener = listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    PacedServer(application, listener, *map(float, sys.argv[1:])).run()
