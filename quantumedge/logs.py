"""How the processes write their logs: lines to read, or JSON objects to gather.

Whoever handles a request binds ``request_id`` and ``client_id`` to structlog's context variables,
and every line written meanwhile carries them: by our own loggers, Django's and Celery's alike.
"""

import os
import sys
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

FORMATS = ("line", "json")

QUIET = ("celery.worker.strategy", "celery.app.trace")
"""Loggers that say with every message what the request's own lines say better."""


def logging_settings(form: str, level: str) -> dict[str, Any]:
    """Django's ``LOGGING`` for one of :data:`FORMATS` and the lowest level that is written."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "chosen": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": _rendering(form),
                "foreign_pre_chain": _facts(),
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "chosen"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {name: {"level": "WARNING"} for name in QUIET},
    }


def _facts() -> list[Processor]:
    """What every line carries besides its message."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _rendering(form: str) -> list[Processor]:
    forget = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if form == "json":
        return [
            forget,
            _add_process,
            # Without the variables, which may hold secrets.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    return [
        forget,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        ),
    ]


def _add_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Name the process: its command, as ``web`` or ``worker convex``, and its id."""
    event["process"], event["pid"] = PROCESS, os.getpid()
    return event


def _process_name(arguments: list[str]) -> str:
    """The command of a process and what it works on, without its options."""
    words = arguments[1:] if Path(arguments[0]).name == "manage.py" else arguments[:1]
    plain = []
    for word in words:
        if word.startswith("-"):
            break
        plain.append(word)
    return " ".join(plain)


PROCESS = _process_name(sys.argv)
