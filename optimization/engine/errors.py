"""Every error the engine raises, as one tree."""

from collections.abc import Sequence


class EngineError(Exception):
    """A request that the engine cannot answer; ``fields`` names what the caller should change.

    Args:
        message: One sentence for the caller, with the mend.
        fields: Paths of the request's fields at fault, e.g. ``"constraints.max_weight"``.
    """

    code = "engine_error"

    def __init__(self, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.fields = tuple(fields)


class InvalidProblemError(EngineError):
    """The data or the constraints are malformed: wrong shape, NaN, bounds that cross."""

    code = "invalid_problem"


class InfeasibleProblemError(EngineError):
    """No portfolio satisfies every constraint; ``fields`` names a smallest set in conflict."""

    code = "infeasible"


class NoExcessReturnError(InfeasibleProblemError):
    """No feasible portfolio earns more than the risk-free rate, so the ratio has no maximum."""

    code = "no_excess_return"


class UnboundedProblemError(EngineError):
    """The objective has no maximum: an asset gains without any risk in the window."""

    code = "unbounded"


class UnsupportedProblemError(EngineError):
    """The method cannot treat this objective, constraint or size; another method can."""

    code = "unsupported"


class MethodUnavailableError(EngineError):
    """The method is part of the contract but this build has no solver for it."""

    code = "method_unavailable"


class SolverFailureError(EngineError):
    """Every solver failed its own certificate, and no result is better than a wrong one."""

    code = "solver_failure"


class SolveCancelledError(EngineError):
    """The caller's progress callback asked the solver to stop."""

    code = "cancelled"
