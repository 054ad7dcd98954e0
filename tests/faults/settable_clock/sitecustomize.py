"""Gives a Python process a wall clock that a test can set; its monotonic clock stays as it is.

Python imports this before anything else when its folder is in ``PYTHONPATH``. ``CLOCK_FILE`` holds
one double: the seconds by which the clock is off.
"""

import datetime as dt
import mmap
import os
import struct
import time
from typing import Any

with open(os.environ["CLOCK_FILE"], "rb") as _file:  # noqa: PTH123 - nothing else is imported yet
    _offset = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)

_time, _time_ns = time.time, time.time_ns
_datetime = dt.datetime


def _off() -> float:
    (seconds,) = struct.unpack("d", _offset[:8])
    return float(seconds)


class _Kind(type):
    """A moment that the library makes is a datetime, too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _datetime)


class _SettableDatetime(dt.datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return _datetime.now(tz) + dt.timedelta(seconds=_off())

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(dt.UTC).replace(tzinfo=None)


time.time = lambda: _time() + _off()
time.time_ns = lambda: _time_ns() + int(_off() * 1e9)
dt.datetime = _SettableDatetime  # type: ignore[misc]  # that is what this file is for
