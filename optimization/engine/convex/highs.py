"""Linear programmes in HiGHS, passed as arrays."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import highspy
import numpy as np
import numpy.typing as npt

from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.problem import FloatArray

IntArray = npt.NDArray[np.int_]
TOLERANCE = 1e-10
"""HiGHS' tightest feasibility tolerance."""

HIGHS_CHOOSES = 1

PRIMAL_SIMPLEX = 4

DECIDED = (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible)

OTHER_WAYS: tuple[Mapping[str, Any], ...] = (
    {"simplex_scale_strategy": 0},
    {"presolve": "on"},
    {"simplex_strategy": PRIMAL_SIMPLEX, "simplex_scale_strategy": 0},
)
"""Tried in turn where the dual simplex method gets lost, as it does on tiny costs."""


@dataclass
class Rows:
    """The rows of a linear programme, collected one by one and scaled to a largest entry of 1.

    Attributes:
        columns: Number of variables.
    """

    columns: int
    _start: list[int] = field(default_factory=lambda: [0])
    _index: list[IntArray] = field(default_factory=list)
    _value: list[FloatArray] = field(default_factory=list)
    _low: list[float] = field(default_factory=list)
    _high: list[float] = field(default_factory=list)
    _scale: list[float] = field(default_factory=list)

    def add(self, index: IntArray, value: FloatArray, low: float, high: float) -> None:
        """Append low ≤ value'x[index] ≤ high."""
        scale = float(np.abs(value).max(initial=0.0)) or 1.0
        self._start.append(self._start[-1] + len(index))
        self._index.append(index)
        self._value.append(value / scale)
        self._low.append(low / scale)
        self._high.append(high / scale)
        self._scale.append(scale)

    def entries(self) -> Iterator[tuple[IntArray, FloatArray, float, float]]:
        """Columns, scaled values and scaled limits of every row."""
        yield from zip(self._index, self._value, self._low, self._high, strict=True)

    @property
    def scales(self) -> FloatArray:
        """What each row was divided by."""
        return np.array(self._scale)

    @property
    def limits(self) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest scaled value of every row."""
        return np.array(self._low), np.array(self._high)

    def matrix(self) -> "SparseMatrix":
        """The scaled values of every row."""
        return SparseMatrix(
            highspy.MatrixFormat.kRowwise,
            np.array(self._start, dtype=np.int32),
            np.concatenate(self._index).astype(np.int32),
            np.concatenate(self._value),
        )


@dataclass(frozen=True)
class SparseMatrix:
    """A matrix as HiGHS takes it.

    Attributes:
        layout: By rows or by columns.
        start: Where each row or column begins.
        index: Column or row of every value.
        value: The values.
    """

    layout: Any
    start: npt.NDArray[np.int32]
    index: npt.NDArray[np.int32]
    value: FloatArray


@dataclass(frozen=True)
class LinearProgramme:
    """Minimise cost'x with lower ≤ x ≤ upper and low ≤ matrix·x ≤ high."""

    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    low: FloatArray
    high: FloatArray
    matrix: SparseMatrix

    def pass_to(self, highs: Any) -> None:
        """Hand over the arrays; HiGHS' own fields would be filled number by number."""
        matrix = self.matrix
        highs.passModel(
            len(self.cost),
            len(self.low),
            len(matrix.value),
            int(matrix.layout),
            int(highspy.ObjSense.kMinimize),
            0.0,
            self.cost,
            self.lower,
            self.upper,
            self.low,
            self.high,
            matrix.start,
            matrix.index,
            matrix.value,
            np.zeros(len(self.cost), dtype=np.int32),
        )


@dataclass(frozen=True)
class LinearOutcome:
    """The optimum of a linear programme.

    Attributes:
        x: Where it is attained.
        bound: The dual objective: no feasible point has a smaller value.
        row_duals: Change of the value per unit of each (scaled) row's limit.
        column_duals: Reduced costs.
    """

    x: FloatArray
    bound: float
    row_duals: FloatArray
    column_duals: FloatArray


_of_thread = threading.local()


def run_highs(programme: LinearProgramme, *, scaled: bool = True) -> Any:
    """Solve a linear programme by this thread's HiGHS, which is read before its next run.

    Making a HiGHS takes longer than a small programme.

    Args:
        programme: What to solve.
        scaled: Whether HiGHS may scale it; not worth it where the values are alike already.
    """
    highs = getattr(_of_thread, "highs", None)
    if highs is None:
        highs = _of_thread.highs = new_highs()
    highs.setOptionValue("simplex_scale_strategy", HIGHS_CHOOSES if scaled else 0)
    programme.pass_to(highs)
    highs.run()
    return highs


def new_highs() -> Any:
    """A silent HiGHS on one thread with its tightest tolerances, for the simplex method."""
    highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in (
        ("output_flag", False),
        ("threads", 1),
        ("solver", "simplex"),
        ("presolve", "off"),
        ("primal_feasibility_tolerance", TOLERANCE),
        ("dual_feasibility_tolerance", TOLERANCE),
    ):
        highs.setOptionValue(name, value)
    return highs


def add_row(highs: Any, index: Any, value: Any, low: float, high: float) -> None:
    """Append low ≤ value'x[index] ≤ high to a programme that HiGHS solves again as it grows."""
    columns: npt.NDArray[np.int32] = np.asarray(index, dtype=np.int32)
    highs.addRow(low, high, len(columns), columns, np.asarray(value, dtype=np.float64))


def check_optimal(highs: Any) -> None:
    """Refuse a run that has found no optimum.

    Raises:
        SolverFailureError: HiGHS stopped without an answer.
    """
    status = highs.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        raise SolverFailureError(f"the linear solver stopped with {status}")


def solve_rows(
    objective: FloatArray, lower: FloatArray, upper: FloatArray, rows: Rows
) -> LinearOutcome:
    """Minimise objective'x over bounds and rows.

    Raises:
        InfeasibleProblemError: No point satisfies them.
        SolverFailureError: HiGHS gave up, or the optimum is unbounded.
    """
    low, high = rows.limits
    programme = LinearProgramme(objective, lower, upper, low, high, rows.matrix())
    highs = run_highs(programme)
    for options in OTHER_WAYS:
        if highs.getModelStatus() in DECIDED:
            break
        highs = new_highs()
        for name, value in options.items():
            highs.setOptionValue(name, value)
        programme.pass_to(highs)
        highs.run()
    if highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
        raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    check_optimal(highs)
    solution = highs.getSolution()
    row_duals, column_duals = np.array(solution.row_dual), np.array(solution.col_dual)
    return LinearOutcome(
        x=np.array(solution.col_value),
        bound=_supported(row_duals, low, high) + _supported(column_duals, lower, upper),
        row_duals=row_duals,
        column_duals=column_duals,
    )


def _supported(duals: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """Σ dual × the limit that it belongs to; a dual of an absent limit is rounding and left out."""
    limit = np.where(duals > 0, low, high)
    present = np.isfinite(limit)
    return float(duals[present] @ limit[present])
