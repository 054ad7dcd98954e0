"""Values that are worked out when they are first asked for, and kept."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

Value = TypeVar("Value")


class LazyProperty(Generic[Value]):
    """As ``functools.cached_property``, without the lock that Python 3.11's takes every first time.

    A problem's numbers belong to one thread, and a solve of 20 assets keeps fifteen of them: the
    locks alone took a tenth of it.

    Args:
        work: Works the value out.
    """

    def __init__(self, work: Callable[[Any], Value]) -> None:
        self.work = work
        self.__doc__ = work.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Remember under which name the value is kept."""
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Value: ...

    def __get__(self, instance: object | None, owner: type | None = None) -> Self | Value:
        """The value; asked for once, it is found in the instance before this is."""
        if instance is None:
            return self
        value = instance.__dict__[self.name] = self.work(instance)
        return value


lazy_property = LazyProperty
