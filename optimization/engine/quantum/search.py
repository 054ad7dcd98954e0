"""The search of both quantum methods: rounds of circuits, each around the best portfolio so far."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from optimization.engine.heuristics.landscape import in_metric
from optimization.engine.heuristics.search import REPORT_INTERVAL, relative_gap
from optimization.engine.problem import FloatArray, Progress
from optimization.engine.quantum.ansatz import Ansatz
from optimization.engine.quantum.encoding import IntArray, LotEncoding
from optimization.engine.quantum.landscape import Landscape, Valuation
from optimization.engine.quantum.parameters import QuantumParameters
from optimization.engine.quantum.running import Draw, Runner, TimeUpError
from optimization.engine.quantum.schedule import Incumbent
from optimization.engine.registry import SolveContext

IMPROVEMENT = 1e-9
"""Relative fall of the cost that counts as one; less would repeat rounds for rounding."""


class StoppedBy(StrEnum):
    """Why a search ended."""

    FINEST_UNIT = "finest_unit"
    ROUNDS = "rounds"
    TIME_LIMIT = "time_limit"
    TARGET_GAP = "target_gap"
    SINGLE_PORTFOLIO = "single_portfolio"


@dataclass(frozen=True, slots=True)
class Round:
    """What one circuit showed.

    Attributes:
        qubits: Its qubits.
        states: Its feasible bitstrings.
        unit: Fraction of capital of a lot.
        p_opt: Probability of the best representable portfolio.
        lift: ``p_opt`` over the same under uniform sampling.
        ratio: Approximation ratio of the mean cost: 1 is the best, 0 the worst portfolio.
        p_feasible: Share of feasible bitstrings.
        r_squared: Share of the true cost's variance that the quadratic phase explains.
    """

    qubits: int
    states: int
    unit: float
    p_opt: float
    lift: float
    ratio: float
    p_feasible: float
    r_squared: float

    @classmethod
    def of(cls, landscape: Landscape, draw: Draw) -> "Round":
        """Measure a draw against the whole landscape."""
        costs, optimal = landscape.cost_of_state, landscape.optimal
        spread = float(costs.max() - costs.min())
        mean = float(draw.frequencies @ costs)
        p_opt = float(draw.frequencies[optimal].sum())
        return cls(
            qubits=landscape.encoding.qubits,
            states=landscape.subspace.size,
            unit=landscape.encoding.unit,
            p_opt=p_opt,
            lift=p_opt / float(optimal.mean()),
            ratio=(float(costs.max()) - mean) / spread if spread > 0 else 1.0,
            p_feasible=draw.p_feasible,
            r_squared=landscape.r_squared,
        )


def cheapest(landscape: Landscape, counts: IntArray) -> Incumbent | None:
    """The portfolio of least true cost among those drawn, or None if none was."""
    levels = landscape.level[counts > 0]
    if not levels.size:
        return None
    best = int(levels[landscape.costs[levels].argmin()])
    return Incumbent(landscape.allocations[best].copy(), float(landscape.costs[best]))


class Plan(Protocol):
    """A sequence of encodings around an incumbent."""

    start: Incumbent

    def first(self) -> LotEncoding | None:
        """An encoding of the whole space to begin with, or None."""
        ...

    def following(self, incumbent: Incumbent) -> LotEncoding | None:
        """The next encoding, or None at the end."""
        ...

    def record(self, incumbent: Incumbent, *, improved: bool) -> None:
        """Take note of a round."""
        ...

    def narrowing(self) -> dict[str, object]:
        """How the choice of assets was narrowed, JSON-ready; empty if it was not."""
        ...


def _ignore(_landscape: Landscape, _counts: IntArray) -> None:
    """Observe nothing."""


@dataclass(slots=True)
class Trail:
    """The incumbent and the schedule that is searched around it.

    Attributes:
        schedule: What to search next.
        incumbent: The best so far.
        rounds: Rounds searched.
    """

    schedule: Plan
    incumbent: Incumbent
    rounds: int = 0

    @classmethod
    def on(cls, schedule: Plan) -> "Trail":
        """From where the schedule starts."""
        return cls(schedule, schedule.start)

    def encoding(self) -> LotEncoding | None:
        """The encoding of the next round, or None when there is nothing left to search."""
        first = self.schedule.first() if self.rounds == 0 else None
        return first or self.schedule.following(self.incumbent)

    def offer(self, candidate: Incumbent | None) -> None:
        """End a round with the best portfolio it found."""
        self.rounds += 1
        improved = candidate is not None and (
            self.incumbent.cost - candidate.cost > IMPROVEMENT * abs(self.incumbent.cost)
        )
        if improved and candidate is not None:
            self.incumbent = candidate
        self.schedule.record(self.incumbent, improved=improved)


@dataclass(slots=True)
class Search:
    """A run of rounds.

    Attributes:
        valuation: The true objective.
        settings: Limits.
        context: Randomness and where to report.
        plan: Makes the sequence of encodings.
        build: Makes the ansatz of a landscape.
        runner: Where circuits run.
        bound: Certified lower bound on the cost, or None.
        started: ``perf_counter()`` when the solver was called.
        observe: Sees what each trained circuit drew.
    """

    valuation: Valuation
    settings: QuantumParameters
    context: SolveContext
    plan: Callable[[np.random.Generator], Plan]
    build: Callable[[Landscape], Ansatz]
    runner: Runner
    bound: float | None
    started: float
    observe: Callable[[Landscape, IntArray], None] = _ignore
    evaluations: int = 0
    iterations: int = 0
    rounds: list[Round] = field(default_factory=list)
    widest: tuple[Landscape, Ansatz] | None = None
    control: Trail | None = None
    _incumbent: Incumbent | None = None
    _reported: float = -np.inf

    def run(self) -> tuple[Incumbent, StoppedBy]:
        """Search until the lots are at their finest or a limit is reached."""
        rng = self.context.generator
        trail, self.control = (
            Trail.on(self.plan(np.random.default_rng(seed))) for seed in rng.integers(2**63, size=2)
        )
        control_rng = np.random.default_rng(rng.integers(2**63))
        self._incumbent = trail.incumbent
        stopped = StoppedBy.ROUNDS
        target = self.settings.target_gap
        while trail.rounds < self.settings.rounds:
            encoding = trail.encoding()
            if encoding is None:
                stopped = StoppedBy.FINEST_UNIT if trail.rounds else StoppedBy.SINGLE_PORTFOLIO
                break
            if perf_counter() - self.started >= self.settings.time_limit:
                stopped = StoppedBy.TIME_LIMIT
                break
            trail.offer(self._round(Landscape(encoding, self.valuation)))
            self._incumbent = trail.incumbent
            self._report()
            self._control_round(control_rng)
            gap = relative_gap(trail.incumbent.cost, self.bound)
            if target is not None and gap is not None and gap <= target:
                stopped = StoppedBy.TARGET_GAP
                break
        return trail.incumbent, stopped

    def _round(self, landscape: Landscape) -> Incumbent | None:
        ansatz = self.build(landscape)
        start = ansatz.initial(self.context.generator)
        if self.widest is None:
            # An answer at the fixed initial angles, before any search.
            first = cheapest(landscape, self.runner.draw(ansatz, landscape, start).counts)
            if first is not None and self._incumbent and first.cost < self._incumbent.cost:
                self._incumbent = first
            self._report()
        if self.widest is None or landscape.encoding.qubits > self.widest[0].encoding.qubits:
            self.widest = (landscape, ansatz)
        outcome = self.runner.run(ansatz, landscape, start, self._tick)
        self.evaluations += outcome.evaluations
        self.iterations += outcome.iterations
        self.rounds.append(Round.of(landscape, outcome.draw))
        self.observe(landscape, outcome.draw.counts)
        return cheapest(landscape, outcome.draw.counts)

    def _control_round(self, rng: np.random.Generator) -> None:
        """The same refinement with bitstrings drawn uniformly instead of from a circuit."""
        encoding = self.control.encoding() if self.control else None
        if self.control is None or encoding is None:
            return
        landscape = Landscape(encoding, self.valuation)
        shots = self.settings.shots_drawn
        size = landscape.subspace.size
        self.control.offer(cheapest(landscape, rng.multinomial(shots, np.full(size, 1 / size))))

    def _tick(self) -> None:
        self._report()
        if perf_counter() - self.started >= self.settings.time_limit:
            raise TimeUpError

    def _report(self) -> None:
        now, incumbent = perf_counter(), self._incumbent
        if incumbent is None or now - self._reported < REPORT_INTERVAL:
            return
        if not np.isfinite(incumbent.cost):
            return
        self._reported = now
        objective = self.valuation.problem.objective
        self.context.on_progress(
            Progress(
                iteration=self.iterations,
                evaluations=self.evaluations,
                best_value=in_metric(objective, incumbent.cost),
                bound=None if self.bound is None else in_metric(objective, self.bound),
                gap=relative_gap(incumbent.cost, self.bound),
                elapsed=now - self.started,
                weights=self.valuation.space.weights(incumbent.allocation),
            )
        )


def control_record(search: Search) -> dict[str, Any]:
    """What uniform sampling reached with the same rounds and draws, JSON-ready."""
    if search.control is None or not np.isfinite(search.control.incumbent.cost):
        return {"value": None, "optimality_gap": None, "rounds": 0}
    cost = search.control.incumbent.cost
    return {
        "value": in_metric(search.valuation.problem.objective, cost),
        "optimality_gap": relative_gap(cost, search.bound),
        "rounds": search.control.rounds,
    }


def bounded(allocation: FloatArray, valuation: Valuation) -> FloatArray:
    """The weights of an allocation with rounding beyond a bound taken off, shape (n,)."""
    space = valuation.space
    return np.asarray(space.weights(np.clip(allocation, space.lower, space.upper)))
