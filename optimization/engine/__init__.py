"""Portfolio numerics without a framework: problems in, certified solutions out."""

from optimization.engine.errors import EngineError
from optimization.engine.frontier import (
    FrontierPoint,
    efficient_frontier,
    frontier_points,
    frontier_targets,
)
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
from optimization.engine.session import Session, WarmStarts

__all__ = [
    "AssetBounds",
    "BindingConstraint",
    "Constraints",
    "EngineError",
    "FrontierPoint",
    "Group",
    "Method",
    "Objective",
    "Problem",
    "Progress",
    "Session",
    "Solution",
    "WarmStarts",
    "available_methods",
    "efficient_frontier",
    "frontier_points",
    "frontier_targets",
    "solve",
]
