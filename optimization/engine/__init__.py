"""Portfolio numerics without a framework: problems in, certified solutions out."""

from optimization.engine.errors import EngineError
from optimization.engine.problem import (
    AssetBounds,
    BindingConstraint,
    Constraints,
    Group,
    Method,
    Objective,
    Problem,
    Progress,
    Solution,
)
from optimization.engine.registry import available_methods, solve

__all__ = [
    "AssetBounds",
    "BindingConstraint",
    "Constraints",
    "EngineError",
    "Group",
    "Method",
    "Objective",
    "Problem",
    "Progress",
    "Solution",
    "available_methods",
    "solve",
]
