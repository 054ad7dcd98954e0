"""Portfolio numerics without a framework: problems in, certified solutions out."""

from optimization.engine.errors import EngineError
from optimization.engine.problem import (
    BindingConstraint,
    Constraints,
    Method,
    Objective,
    Problem,
    Progress,
    Solution,
)
from optimization.engine.registry import available_methods, solve

__all__ = [
    "BindingConstraint",
    "Constraints",
    "EngineError",
    "Method",
    "Objective",
    "Problem",
    "Progress",
    "Solution",
    "available_methods",
    "solve",
]
