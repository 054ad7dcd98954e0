"""What a portfolio has to satisfy: frozen values, checked when built."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from optimization.engine.errors import InvalidProblemError

NO_SYMBOLS: Mapping[str, float] = MappingProxyType({})


def _check_weight(value: float | None, path: str) -> None:
    if value is not None and not -1.0 <= value <= 1.0:
        raise InvalidProblemError(
            f"{path.rpartition('.')[2]} is {value:g}; a weight bound lies between -1 and 1", [path]
        )


def _check_range(value: float | None, path: str, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise InvalidProblemError(
            f"{path.rpartition('.')[2]} is {value:g}; it lies between {low:g} and {high:g}", [path]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetBounds:
    """Bounds of one asset; each replaces ``min_weight`` or ``max_weight`` for that asset.

    Attributes:
        min_weight: Smallest weight, or None for the portfolio's own.
        max_weight: Largest weight, or None for the portfolio's own.
    """

    min_weight: float | None = None
    max_weight: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Bounds on the total weight of some assets, e.g. of a sector.

    Attributes:
        name: How messages call it.
        symbols: Its members.
        min_weight: Smallest total weight, or None.
        max_weight: Largest total weight, or None.
    """

    name: str
    symbols: tuple[str, ...]
    min_weight: float | None = None
    max_weight: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What a portfolio has to satisfy.

    Each weight lies between ``min_weight`` and ``max_weight``. Left out, ``max_weight`` is 1 and
    ``min_weight`` is 0 for a long-only portfolio and ``-max_weight`` for a long-short one. With
    ``sum_to_one`` the weights sum to one; without it they sum to at most one and the rest is cash
    that earns the risk-free rate.

    Attributes:
        long_only: No weight is negative.
        sum_to_one: The portfolio is fully invested.
        min_weight: Smallest weight of every asset, as a fraction.
        max_weight: Largest weight of every asset, as a fraction.
        cvar_confidence: Tail probability of value at risk and CVaR: 0.05 is the worst 5 % of days.
        asset_bounds: Bounds of single assets, by symbol.
        groups: Bounds on the total weight of groups of assets.
        current_weights: Weights held now, by symbol; a symbol left out is not held.
        max_turnover: Largest Σ|w − current|, buys plus sells: 2 replaces a whole portfolio.
        transaction_costs: Fraction of the traded value that trading costs, for every asset or by
            symbol; charged on Σ|w − current|, spread over a year of 252 periods, and taken from
            every period's return.
        benchmark_weights: Weights of the benchmark, by symbol.
        max_tracking_error: Largest yearly standard deviation of the return over the benchmark's.
        target_return: Smallest expected return a year, net of costs.
        target_volatility: Largest standard deviation of the return a year.
        max_assets: Largest number of assets held.
        min_position: Smallest absolute weight of an asset that is held at all.
        max_leverage: Largest Σ|w|.
        capital: Money to invest, in the currency of the prices.
        lot_size: Assets are held in whole multiples of this many shares; needs ``capital``. A
            fully invested portfolio then leaves less than the dearest lot in cash.
        fixed_fee: Money that every position held costs a year; needs ``capital``. Spread over 252
            periods and taken from every period's return, not from the capital.
    """

    long_only: bool = True
    sum_to_one: bool = True
    min_weight: float | None = None
    max_weight: float | None = None
    cvar_confidence: float = 0.05
    asset_bounds: Mapping[str, AssetBounds] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    current_weights: Mapping[str, float] | None = None
    max_turnover: float | None = None
    transaction_costs: float | Mapping[str, float] = 0.0
    benchmark_weights: Mapping[str, float] | None = None
    max_tracking_error: float | None = None
    target_return: float | None = None
    target_volatility: float | None = None
    max_assets: int | None = None
    min_position: float | None = None
    max_leverage: float | None = None
    capital: float | None = None
    lot_size: float | None = None
    fixed_fee: float | None = None

    def __post_init__(self) -> None:
        _check_range(self.cvar_confidence, "constraints.cvar_confidence", 0.01, 0.1)
        self._check_bounds()
        self._check_assets()
        self._check_groups()
        self._check_portfolio()
        self._check_money()

    def _check_bounds(self) -> None:
        _check_weight(self.min_weight, "constraints.min_weight")
        _check_weight(self.max_weight, "constraints.max_weight")
        if self.long_only and self.min_weight is not None and self.min_weight < 0:
            raise InvalidProblemError(
                f"min_weight is {self.min_weight:g} but long_only is true; raise min_weight to 0"
                " or set long_only to false",
                ["constraints.min_weight", "constraints.long_only"],
            )
        if self.lower > self.upper:
            raise InvalidProblemError(
                f"min_weight {self.lower:g} is greater than max_weight {self.upper:g}",
                ["constraints.min_weight", "constraints.max_weight"],
            )

    def _check_assets(self) -> None:
        for symbol in self.asset_bounds:
            path = f"constraints.asset_bounds.{symbol}"
            low, high = self.bounds_of(symbol)
            _check_weight(low, f"{path}.min_weight")
            _check_weight(high, f"{path}.max_weight")
            if self.long_only and low < 0:
                raise InvalidProblemError(
                    f"min_weight of {symbol} is {low:g} but long_only is true; raise it to 0 or"
                    " set long_only to false",
                    [f"{path}.min_weight", "constraints.long_only"],
                )
            if low > high:
                raise InvalidProblemError(
                    f"the bounds of {symbol} cross: at least {low:g} and at most {high:g}", [path]
                )

    def _check_groups(self) -> None:
        names: set[str] = set()
        for position, group in enumerate(self.groups):
            path = f"constraints.groups[{position}]"
            if not group.symbols:
                raise InvalidProblemError(f"group {group.name} has no symbols", [path])
            if group.name in names:
                raise InvalidProblemError(f"two groups are named {group.name}", [f"{path}.name"])
            names.add(group.name)
            _check_range(group.min_weight, f"{path}.min_weight", -100, 100)
            _check_range(group.max_weight, f"{path}.max_weight", -100, 100)
            low, high = group.min_weight, group.max_weight
            if low is not None and high is not None and low > high:
                raise InvalidProblemError(
                    f"the bounds of group {group.name} cross: at least {low:g} and at most"
                    f" {high:g}",
                    [path],
                )

    def _check_portfolio(self) -> None:
        _check_range(self.max_turnover, "constraints.max_turnover", 0, 100)
        _check_range(self.max_tracking_error, "constraints.max_tracking_error", 0, 100)
        _check_range(self.target_return, "constraints.target_return", -1000, 1000)
        _check_range(self.target_volatility, "constraints.target_volatility", 0, 1000)
        _check_range(self.max_assets, "constraints.max_assets", 1, 1_000_000)
        _check_range(self.min_position, "constraints.min_position", 0, 1)
        _check_range(self.max_leverage, "constraints.max_leverage", 0, 100)
        costs = self.transaction_costs
        for cost in costs.values() if isinstance(costs, Mapping) else (costs,):
            _check_range(cost, "constraints.transaction_costs", 0, 1)
        for name in ("current_weights", "benchmark_weights"):
            for symbol, weight in (getattr(self, name) or NO_SYMBOLS).items():
                _check_range(weight, f"constraints.{name}.{symbol}", -100, 100)
        if self.max_turnover is not None and self.current_weights is None:
            raise InvalidProblemError(
                "max_turnover needs current_weights to be measured from",
                ["constraints.max_turnover", "constraints.current_weights"],
            )
        if self.max_tracking_error is not None and self.benchmark_weights is None:
            raise InvalidProblemError(
                "max_tracking_error needs benchmark_weights to be measured from",
                ["constraints.max_tracking_error", "constraints.benchmark_weights"],
            )

    def _check_money(self) -> None:
        for name in ("capital", "lot_size", "fixed_fee"):
            value = getattr(self, name)
            if value is None:
                continue
            if not 0 < value < float("inf"):
                raise InvalidProblemError(
                    f"{name} is {value:g}; it is more than 0, or left out", [f"constraints.{name}"]
                )
            if self.capital is None:
                raise InvalidProblemError(
                    f"{name} needs capital, the amount of money to invest",
                    [f"constraints.{name}", "constraints.capital"],
                )

    @property
    def upper(self) -> float:
        """Largest weight of an asset without bounds of its own."""
        return 1.0 if self.max_weight is None else self.max_weight

    @property
    def lower(self) -> float:
        """Smallest weight of an asset without bounds of its own."""
        if self.min_weight is not None:
            return self.min_weight
        return 0.0 if self.long_only else -self.upper

    def bounds_of(self, symbol: str) -> tuple[float, float]:
        """Smallest and largest weight of one asset."""
        own = self.asset_bounds.get(symbol)
        if own is None:
            return self.lower, self.upper
        return (
            self.lower if own.min_weight is None else own.min_weight,
            self.upper if own.max_weight is None else own.max_weight,
        )

    @property
    def beyond_bounds(self) -> tuple[str, ...]:
        """Names of the fields in use besides bounds per asset and the budget.

        A method that knows only the :class:`~optimization.engine.feasible.FeasibleSet` refuses a
        problem that has any.
        """
        used = {
            "groups": bool(self.groups),
            "max_turnover": self.max_turnover is not None,
            "transaction_costs": self.has_costs,
            "max_tracking_error": self.max_tracking_error is not None,
            "target_return": self.target_return is not None,
            "target_volatility": self.target_volatility is not None,
            "max_assets": self.max_assets is not None,
            "min_position": self.min_position is not None,
            "max_leverage": self.max_leverage is not None,
            "lot_size": self.lot_size is not None,
            "fixed_fee": self.fixed_fee is not None,
        }
        return tuple(f"constraints.{name}" for name, is_used in used.items() if is_used)

    @property
    def has_costs(self) -> bool:
        """Whether any asset costs something to trade in proportion to the traded value."""
        costs = self.transaction_costs
        return any(costs.values()) if isinstance(costs, Mapping) else costs > 0

    @property
    def limits_deviation(self) -> bool:
        """Whether the risk itself is limited, by itself or beside a benchmark."""
        return self.target_volatility is not None or self.max_tracking_error is not None

    def mentioned(self) -> Iterable[tuple[str, str]]:
        """Every symbol that a constraint names, with the path of the field that names it."""
        for symbol in self.asset_bounds:
            yield symbol, f"constraints.asset_bounds.{symbol}"
        for position, group in enumerate(self.groups):
            for symbol in group.symbols:
                yield symbol, f"constraints.groups[{position}].symbols"
        costs = self.transaction_costs if isinstance(self.transaction_costs, Mapping) else {}
        for name, weights in (
            ("current_weights", self.current_weights),
            ("benchmark_weights", self.benchmark_weights),
            ("transaction_costs", costs),
        ):
            for symbol in weights or ():
                yield symbol, f"constraints.{name}.{symbol}"
