"""At most K assets, and none held below a smallest size: branch and bound over exact relaxations.

A node decides for some assets whether they are out, held long or held short; the others are
relaxed to anything between. Its relaxation is solved by the ordinary path with a certified bound,
so a finished search is exact and an interrupted one knows its gap.
"""

import heapq
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from optimization.engine.convex.answer import Answer
from optimization.engine.convex.fast import COLD, Warm
from optimization.engine.convex.instance import HELD, Instance
from optimization.engine.convex.paths import solve_instance
from optimization.engine.convex.region import Row
from optimization.engine.convex.soundness import check_solvable
from optimization.engine.errors import (
    InfeasibleProblemError,
    InvalidProblemError,
    SolverFailureError,
    UnboundedProblemError,
)
from optimization.engine.problem import FloatArray

OPEN, OUT, LONG, SHORT = 0, 1, 2, 3
Decisions = npt.NDArray[np.int8]

EXACT = 1e-9
"""Relative gap at which the search is finished."""

REPORT_EVERY = 0.1
"""Seconds between two reports of progress."""


@dataclass(frozen=True)
class SearchState:
    """What an unfinished search knows.

    Attributes:
        best: The best portfolio so far, or None.
        bound: No portfolio has a smaller cost.
        nodes: Relaxations solved.
        elapsed: Seconds since the start.
    """

    best: Answer | None
    bound: float
    nodes: int
    elapsed: float

    @property
    def gap(self) -> float:
        """Relative distance of the best portfolio to the bound."""
        if self.best is None:
            return float("inf")
        value = self.best.certificate.value
        return max(value - self.bound, 0.0) / max(abs(value), np.finfo(np.float64).tiny)


@dataclass(order=True)
class _Node:
    """Decisions that are still open: of equal bounds the last one comes first.

    Where nothing bounds a ratio, that leads down to what may be held.
    """

    bound: float
    order: int
    decisions: Decisions = field(compare=False)
    weights: FloatArray = field(compare=False)


def branch_and_bound(
    instance: Instance, time_limit: float, report: Callable[[SearchState], None]
) -> SearchState:
    """Search for the best portfolio of few enough, large enough positions.

    Args:
        instance: The problem.
        time_limit: Seconds after which the best so far is returned with its gap.
        report: Called now and then; raising from it stops the search.

    Raises:
        InfeasibleProblemError: No portfolio satisfies the constraints.
        SolverFailureError: No portfolio was found in time.
        UnboundedProblemError: One that may be held gains without risk.
    """
    search = _Search(instance)
    started = reported = time.perf_counter()
    search.open(np.zeros(len(instance.mean), dtype=np.int8))
    if not search.heap and search.best is None:
        raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    if search.heap:
        search.decide_forced()
    if search.heap:
        search.dive(search.heap[0].weights)
    while search.heap:
        now = time.perf_counter()
        state = SearchState(search.best, search.heap[0].bound, search.nodes, now - started)
        if state.gap <= EXACT or now - started > time_limit:
            break
        if now - reported > REPORT_EVERY:
            reported = now
            report(state)
        for decisions in search.children(search.next_node()):
            search.open(decisions)
    return search.outcome(time.perf_counter() - started)


class _Search:
    """The open nodes, the best portfolio, and how a node is relaxed."""

    def __init__(self, instance: Instance) -> None:
        constraints = instance.problem.constraints
        self.instance = instance
        self.most = constraints.max_assets or len(instance.mean)
        self.least = constraints.min_position or 0.0
        self.heap: list[_Node] = []
        self.best: Answer | None = None
        self.nodes = 0
        self.warm: Warm = COLD

    def decide_forced(self) -> None:
        """Begin anew with what the bounds decide: an asset that may not be out is held."""
        region = self.instance.region
        decisions = np.where(region.lower > 0, LONG, np.where(region.upper < 0, SHORT, OPEN))
        if decisions.any():
            self.heap.clear()
            self.open(decisions.astype(np.int8))

    def next_node(self) -> _Node:
        """The node of the best bound, or as long as there is no portfolio the most decided one."""
        if self.best is not None:
            return heapq.heappop(self.heap)
        deepest = min(self.heap, key=lambda node: (int((node.decisions == OPEN).sum()), node))
        self.heap.remove(deepest)
        heapq.heapify(self.heap)
        return deepest

    def open(self, decisions: Decisions) -> None:
        """Relax a node and keep it if it may hold something better."""
        if int((decisions >= LONG).sum()) > self.most:
            return
        self.nodes += 1
        relaxed = self._relaxed(decisions)
        try:
            check_solvable(relaxed)
            answer, self.warm = solve_instance(relaxed, self.warm)
        except (InfeasibleProblemError, InvalidProblemError):
            return  # no portfolio at all, or for a ratio none but cash
        except UnboundedProblemError:
            if self._is_decided(decisions):
                raise
            # What gains without risk may hold more assets than are allowed: nothing bounds this
            # node, and its children tell.
            weights = np.zeros(len(decisions))
            heapq.heappush(self.heap, _Node(-np.inf, -self.nodes, decisions, weights))
            return
        value, gap = answer.certificate.value, answer.certificate.gap
        bound = value - (gap * abs(value) if np.isfinite(gap) else np.inf)
        if self.best is not None and bound >= self.best.certificate.value * (
            1 - EXACT * np.sign(self.best.certificate.value)
        ):
            return
        if self._obeys(answer.weights):
            self.best = answer
            return
        heapq.heappush(self.heap, _Node(bound, -self.nodes, decisions, answer.weights))

    def dive(self, weights: FloatArray) -> None:
        """Look for a first portfolio among the largest positions of a relaxation."""
        size = np.abs(weights)
        for count in range(self.most, 0, -1):
            decisions = np.full(len(weights), OUT, dtype=np.int8)
            largest = np.argsort(-size, kind="stable")[:count]
            decisions[largest] = np.where(weights[largest] < 0, SHORT, LONG)
            before = self.best
            self.open(decisions)
            if self.best is not before:
                return

    def children(self, node: _Node) -> Iterator[Decisions]:
        """The node's subdivision by the asset that breaks the rules most."""
        size = np.abs(node.weights)
        undecided = node.decisions == OPEN
        if not undecided.any():
            return
        broken = undecided & (size > HELD) & (size < self.least - HELD)
        candidates = broken if broken.any() else undecided
        asset = int(np.argmax(np.where(candidates, size, -1.0)))
        region = self.instance.region
        options = [OUT] if region.lower[asset] <= 0 <= region.upper[asset] else []
        if region.upper[asset] > 0:
            options.append(LONG)
        if region.lower[asset] < 0:
            options.append(SHORT)
        for option in options:
            decisions = node.decisions.copy()
            decisions[asset] = option
            yield decisions

    def _is_decided(self, decisions: Decisions) -> bool:
        """Whether whatever a node allows may be held."""
        full = int((decisions >= LONG).sum()) == self.most
        return full or not bool((decisions == OPEN).any())

    def _obeys(self, weights: FloatArray) -> bool:
        held = np.abs(weights) > HELD
        return bool(held.sum() <= self.most and (np.abs(weights[held]) >= self.least - HELD).all())

    def _relaxed(self, decisions: Decisions) -> Instance:
        region = self.instance.region
        lower, upper = region.lower.copy(), region.upper.copy()
        still = decisions == OPEN
        if self._is_decided(decisions):
            still, decisions = np.zeros_like(still), np.where(still, OUT, decisions)
        out = decisions == OUT
        lower[out], upper[out] = np.maximum(lower[out], 0.0), np.minimum(upper[out], 0.0)
        is_long, is_short = decisions == LONG, decisions == SHORT
        lower[is_long] = np.maximum(lower[is_long], self.least)
        upper[is_short] = np.minimum(upper[is_short], -self.least)
        if bool((lower > upper).any()):
            return self.instance.with_region(replace(region, lower=lower, upper=lower - 1.0))
        rows = region.rows
        if bool((lower >= 0).all()) and bool(still.any()):
            # Σ w/u counts at most the assets held: the tightest linear form of the count.
            left = self.most - int((decisions >= LONG).sum())
            share = np.where(still & (upper > 0), 1.0 / np.maximum(upper, HELD), 0.0)
            count = Row("constraints.max_assets", "the number of assets", share, -np.inf, left)
            rows = (*rows, count)
        return self.instance.with_region(replace(region, lower=lower, upper=upper, rows=rows))

    def outcome(self, elapsed: float) -> SearchState:
        """The result, with what is still open as its bound."""
        if self.best is None:
            if self.heap:
                constraints = self.instance.problem.constraints
                asked = [
                    f"constraints.{name}"
                    for name in ("max_assets", "min_position")
                    if getattr(constraints, name) is not None
                ]
                raise SolverFailureError(
                    f"no portfolio within {' and '.join(asked)} was found in time; raise"
                    " parameters.time_limit, or let go of one of them",
                    ["parameters.time_limit", *asked],
                )
            raise InfeasibleProblemError(
                "no portfolio within max_assets and min_position satisfies the other"
                " constraints; raise max_assets or lower min_position",
                ["constraints.max_assets", "constraints.min_position"],
            )
        value, gap = self.best.certificate.value, self.best.certificate.gap
        bound = value - gap * abs(value)
        if self.heap:
            bound = min(bound, self.heap[0].bound)
        return SearchState(self.best, bound, self.nodes, elapsed)
