"""What ``manage.py serve`` says: lines for an operator, or a JSON document a line for a program."""

import json
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import IO, Protocol

from rich.console import Console

from quantumedge.first_optimisation import Outcome


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that serves.

    Attributes:
        url: Where.
        seconds: From its start.
        first: The outcome of its first optimisation, or why there is none.
    """

    url: str
    seconds: float
    first: Outcome | str

    def __str__(self) -> str:
        told = self.first if isinstance(self.first, str) else f"first optimisation: {self.first}"
        return f"Ready in {self.seconds:.1f} s: {self.url} · {told} · Ctrl-C stops"

    def document(self) -> dict[str, object]:
        """The same for a program; without an outcome, ``first_optimisation`` is null."""
        outcome = self.first if isinstance(self.first, Outcome) else None
        return {
            "event": "ready",
            "url": self.url,
            "seconds": round(self.seconds, 3),
            "first_optimisation": None if outcome is None else outcome.document(),
            "detail": str(self.first),
        }


class Announcer(Protocol):
    """Who is told."""

    def say(self, line: str) -> None:
        """Tell one thing that happened."""

    def ready(self, ready: Ready) -> None:
        """Tell that the server serves."""

    def waiting(self, line: str) -> AbstractContextManager[object]:
        """Show what is waited for while the block lasts."""


class _Terminal(Console):
    """A console whose reader may leave: what nobody reads is no reason to stop out of order."""

    def on_broken_pipe(self) -> None:
        """Say nothing from now on."""
        self.quiet = True


class ForOperators:
    """Lines of text, with a spinner while something is waited for."""

    def __init__(self) -> None:
        self._console = _Terminal(highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """Print the line."""
        self._console.print(line, markup=False)

    def ready(self, ready: Ready) -> None:
        """Print the ready line."""
        self.say(str(ready))

    def waiting(self, line: str) -> AbstractContextManager[object]:
        """Spin."""
        return self._console.status(line)


class ForPrograms:
    """A JSON document a line, each with its ``event``: ``said`` or ``ready``."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def say(self, line: str) -> None:
        """Print ``said`` with the line as its ``detail``."""
        self._print({"event": "said", "detail": line})

    def ready(self, ready: Ready) -> None:
        """Print ``ready``."""
        self._print(ready.document())

    def waiting(self, line: str) -> AbstractContextManager[object]:
        """Print the line, once."""
        self.say(line)
        return nullcontext()

    def _print(self, document: dict[str, object]) -> None:
        try:
            self._out.write(json.dumps(document, allow_nan=False) + "\n")
            self._out.flush()
        except BrokenPipeError:
            # Nobody reads any more, which is no reason to stop out of order.
            nobody = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nobody, self._out.fileno())
            os.close(nobody)
