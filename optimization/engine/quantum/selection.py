"""At most K assets: circuits choose which, and the exact method weighs them."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from optimization.engine.errors import EngineError, UnsupportedProblemError
from optimization.engine.problem import FloatArray, Method, Problem
from optimization.engine.quantum.encoding import IntArray, LotEncoding
from optimization.engine.quantum.landscape import Landscape, Valuation
from optimization.engine.quantum.schedule import Incumbent
from optimization.engine.registry import solve

POLISHED = 12
"""Choices, the best that circuits drew, that are weighed exactly."""

PATIENCE = 4
"""Blocks in a row without a better choice that end the search."""


class SelectionSchedule:
    """Circuits on one qubit per asset with K set: equal weights on the chosen ones.

    With more assets than qubits, each circuit redraws a block of those held and of the others.

    Args:
        valuation: The costs.
        held: Number K of assets to hold.
        qubits: Largest number of qubits of one circuit.
        rng: Draws the blocks.
    """

    def __init__(
        self, valuation: Valuation, held: int, qubits: int, rng: np.random.Generator
    ) -> None:
        self._assets, self._held, self._rng = valuation.space.n_assets, held, rng
        self._size = valuation.space.size
        self.block_size = min(qubits, self._assets)
        self._patience = PATIENCE if self._assets > qubits else 1
        self._failures = 0
        single = np.eye(self._size)[: self._assets]
        ranked = np.argsort(valuation.costs(single), kind="stable")
        allocation = single[ranked[:held]].sum(axis=0) / held
        self.start = Incumbent(allocation, float(valuation.costs(allocation[None])[0]))

    def first(self) -> LotEncoding | None:
        """No grid of its own: every round is around an incumbent."""
        return None

    def following(self, incumbent: Incumbent) -> LotEncoding | None:
        """The next choice of assets to decide on, or None after enough without a better one."""
        if self._failures >= self._patience:
            return None
        chosen = incumbent.allocation[: self._assets] > 0
        inside = self._rng.permutation(np.flatnonzero(chosen))
        outside = self._rng.permutation(np.flatnonzero(~chosen))
        keep = min(len(inside), max(self.block_size // 2, self.block_size - len(outside)))
        block = np.concatenate([inside[:keep], outside[: self.block_size - keep]])
        copies = np.zeros(self._size, dtype=np.int64)
        copies[block] = 1
        base = np.where(copies > 0, 0.0, incumbent.allocation)
        return LotEncoding(base=base, copies=copies, unit=1 / self._held, lots=keep)

    def record(self, incumbent: Incumbent, *, improved: bool) -> None:
        """Take note of a round."""
        del incumbent
        self._failures = 0 if improved else self._failures + 1

    def narrowing(self) -> dict[str, object]:
        """How the choice of assets was narrowed, if the qubits did not hold all of them."""
        if self.block_size >= self._assets:
            return {}
        return {
            "narrowed_from": self._assets,
            "narrowed_to": self.block_size,
            "narrowing": (
                f"each circuit decides on {self.block_size} of {self._assets} assets, half of them"
                " held and all drawn, and leaves the others as they are"
            ),
        }


@dataclass(slots=True)
class Shortlist:
    """The best choices that circuits drew, by the cost of their equal weights.

    Attributes:
        costs: Cost of each choice, by its assets.
    """

    costs: dict[tuple[int, ...], float]

    def note(self, landscape: Landscape, counts: IntArray, assets: int) -> None:
        """Keep what a circuit drew."""
        drawn = np.unique(landscape.level[counts > 0])
        for level in drawn[np.argsort(landscape.costs[drawn], kind="stable")[:POLISHED]]:
            chosen = np.flatnonzero(landscape.allocations[level][:assets] > 0)
            self.costs[tuple(chosen.tolist())] = float(landscape.costs[level])

    def best(self) -> list[tuple[int, ...]]:
        """At most ``POLISHED`` choices, the best first."""
        return sorted(self.costs, key=lambda choice: (self.costs[choice], choice))[:POLISHED]


@dataclass(frozen=True, slots=True)
class Polished:
    """The best of the weighed choices.

    Attributes:
        weights: Shape (n,).
        cost: Cost per period.
        weighed: How many choices the exact method weighed.
    """

    weights: FloatArray
    cost: float
    weighed: int

    @classmethod
    def of(cls, choices: list[tuple[int, ...]], valuation: Valuation, covariance: str) -> Self:
        """Weigh each choice by the exact method.

        Raises:
            EngineError: None of them meets the constraints.
        """
        problem, found, refusal = valuation.problem, [], None
        for choice in choices:
            weights = np.zeros(problem.n_assets)
            try:
                weights[list(choice)] = solve(
                    restricted(problem, choice),
                    method=Method.MEAN_VARIANCE,
                    parameters={"covariance": covariance},
                ).weights
            except EngineError as error:
                refusal = error
                continue
            found.append((float(valuation.cost(weights)), tuple(weights.tolist())))
        if not found:
            raise refusal or UnsupportedProblemError(
                "circuits drew no choice of assets", ["method"]
            )
        cost, best = min(found)
        return cls(np.array(best), cost, len(found))


def restricted(problem: Problem, choice: tuple[int, ...]) -> Problem:
    """The problem on some of its assets only."""
    symbols = tuple(problem.symbols[position] for position in choice)
    constraints = problem.constraints
    own = {name: own for name, own in constraints.asset_bounds.items() if name in symbols}
    return replace(
        problem,
        returns=problem.returns[:, list(choice)],
        symbols=symbols,
        constraints=replace(constraints, max_assets=None, asset_bounds=own),
        prices=None if problem.prices is None else problem.prices[list(choice)],
    )
