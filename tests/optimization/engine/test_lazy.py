"""A lazy property is worked out once, at its first use, for each instance."""

from dataclasses import dataclass, field

from optimization.engine.lazy import lazy_property


@dataclass(frozen=True)
class Square:
    side: float
    worked: list[float] = field(default_factory=list)

    @lazy_property
    def area(self) -> float:
        """The area."""
        self.worked.append(self.side)
        return self.side**2


def test_it_is_worked_out_once_and_only_if_asked_for() -> None:
    small, large = Square(2.0), Square(3.0)
    assert not small.worked
    assert [small.area, small.area, large.area] == [4.0, 4.0, 9.0]
    assert (small.worked, large.worked) == ([2.0], [3.0])


def test_the_class_shows_what_documents_it() -> None:
    assert Square.area.__doc__ == "The area."
