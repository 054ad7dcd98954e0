"""Covariances of returns, kept as rows so that Σ need not be formed."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from optimization.engine.errors import InvalidProblemError
from optimization.engine.lazy import lazy_property
from optimization.engine.problem import FloatArray
from optimization.engine.sums import CACHED

SAMPLE = "sample"
LEDOIT_WOLF = "ledoit_wolf"

DENSE = 60
"""Up to this many assets Σ is formed."""

OFTEN_DENSE = 150
"""Up to this many it is where it is used again and again."""

INDEFINITE = 1e-10
"""A negative eigenvalue up to this share of the largest is rounding."""

CANCELLED = 1e-8
"""A variance this small beside the assets' own has lost half its digits in Σ."""

CANCELS = 0.5
"""Share of the raw second moment up to which the mean's part is subtracted from it: a larger one
would cost digits, and the rows are centred first."""

GUESSED = 4
"""Where an estimate of Σw will do, every so many-th part of the rows tells enough."""


@dataclass
class _Latest:
    """What was worked out last, as the steps of a search ask for much of it twice.

    Attributes:
        assets: Whose columns of the rows were gathered, by index, shape (k,).
        columns: Those columns.
        weights: What Σ was multiplied by, shape (n,).
        product: What that came to, shape (n,).
    """

    assets: npt.NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    columns: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    weights: FloatArray = field(default_factory=lambda: np.zeros(0))
    product: FloatArray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Covariance:
    """Σ = scale · (rows − mean)'(rows − mean) + ridge·I.

    The rows are kept as they come: centring every entry costs more than a whole small solve.

    Attributes:
        rows: Shape (k, n).
        mean: What the rows are centred by, shape (n,), or None to take them as they are.
        scale: One over the divisor, e.g. 1 / (T − 1).
        ridge: Non-negative multiple of the identity.
        kind: ``"sample"`` or ``"ledoit_wolf"``.
        square_sum: Σ of all squared entries of the rows, or None until it is asked for.
        dense_up_to: Largest number of assets up to which Σ is formed.
    """

    rows: FloatArray
    mean: FloatArray | None = None
    scale: float = 1.0
    ridge: float = 0.0
    kind: str = SAMPLE
    square_sum: float | None = None
    dense_up_to: int = DENSE
    _latest: _Latest = field(default_factory=_Latest, init=False, repr=False, compare=False)

    @property
    def n_assets(self) -> int:
        """Number of assets n."""
        return int(self.rows.shape[1])

    @lazy_property
    def factor(self) -> FloatArray:
        """A matrix F of the shape of the rows with F'F = Σ − ridge·I."""
        centred = self.rows if self.mean is None else self.rows - self.mean
        return np.asarray(centred * np.sqrt(self.scale))

    @lazy_property
    def dense(self) -> FloatArray:
        """Σ, shape (n, n)."""
        return self._gram(self.rows, self.mean)

    @lazy_property
    def variances(self) -> FloatArray:
        """Diagonal of Σ, shape (n,)."""
        if self.is_small:
            return np.diagonal(self.dense)
        squares = np.einsum("ij,ij->j", self.rows, self.rows)
        if self.mean is not None:
            taken = len(self.rows) * self.mean**2
            if bool((taken > CANCELS * squares).any()):
                squares = np.einsum("ij,ij->j", self.factor, self.factor) / self.scale
            else:
                squares -= taken
        return np.asarray(squares * self.scale + self.ridge)

    @lazy_property
    def mean_variance(self) -> float:
        """Mean of the variances, the unit in which variances are compared."""
        if self.is_small:
            return float(self.variances.sum()) / self.n_assets
        squares = self.square_sum
        if squares is None:
            squares = float(np.vdot(self.rows, self.rows))
        if self.mean is not None:
            taken = len(self.rows) * float(self.mean @ self.mean)
            if taken > CANCELS * squares:
                return float(self.variances.mean())
            squares -= taken
        return squares * self.scale / self.n_assets + self.ridge

    @property
    def is_small(self) -> bool:
        """Whether Σ itself is cheaper to work with than its rows."""
        return self.n_assets <= self.dense_up_to

    def for_many(self) -> "Covariance":
        """The same for many products and blocks, for which Σ is formed sooner."""
        if self.is_small or self.n_assets > OFTEN_DENSE:
            return self
        return replace(self, dense_up_to=OFTEN_DENSE)

    def times(self, weights: FloatArray) -> FloatArray:
        """Σw, shape (n,)."""
        if self.is_small:
            return np.asarray(self.dense @ weights)
        latest = self._latest
        if not np.array_equal(latest.weights, weights):
            latest.weights, latest.product = weights.copy(), self._product(weights)
            latest.product.flags.writeable = False
        return latest.product

    def _product(self, weights: FloatArray) -> FloatArray:
        level = 0.0 if self.mean is None else float(self.mean @ weights)
        assets, rows = self._latest.assets, self.rows
        held = weights[assets]
        if len(held) and np.count_nonzero(held) == np.count_nonzero(weights):
            outcomes = self._latest.columns @ held
            outcomes -= level
            total, product = float(outcomes.sum()), outcomes @ rows
        else:
            # The rows are read twice, but from memory only once if they come by so many at a time.
            height, total, product = max(CACHED // self.n_assets, 1), 0.0, np.zeros(self.n_assets)
            for first in range(0, len(rows), height):
                some = rows[first : first + height]
                outcomes = some @ weights
                outcomes -= level
                total += float(outcomes.sum())
                product += outcomes @ some
        if self.mean is not None:
            product -= total * self.mean
        product *= self.scale
        if self.ridge:
            product += self.ridge * weights
        return np.asarray(product)

    def roughly_times(self, weights: FloatArray) -> FloatArray:
        """Σw as the last rows tell it, up to a factor: enough to guess by, shape (n,)."""
        # A worse guess may cost another round of a search: worth it only where rows are many.
        few = len(self.rows) < GUESSED * self.n_assets // 2
        if self.is_small or few or self.rows.size <= 2 * CACHED:
            return self.times(weights)
        some = self.rows[-(len(self.rows) // GUESSED) :]
        return np.asarray(replace(self, rows=some, scale=self.scale * GUESSED).times(weights))

    def variance(self, weights: FloatArray) -> float:
        """w'Σw."""
        if self.is_small:
            variance = float(weights @ self.dense @ weights)
            if variance > CANCELLED * float(self.variances.max() * (weights @ weights)):
                return variance
        # Assets that hedge each other cancel in Σ to its rounding, in the outcomes to theirs.
        outcomes = self._outcomes(weights)
        return float(outcomes @ outcomes) * self.scale + self.ridge * float(weights @ weights)

    def block(self, assets: npt.NDArray[np.intp]) -> FloatArray:
        """Rows and columns of Σ for some assets, given by index."""
        if self.is_small:
            return self.dense[assets[:, np.newaxis], assets]
        mean = None if self.mean is None else self.mean[assets]
        self._latest.assets, self._latest.columns = assets, self.rows[:, assets]
        return self._gram(self._latest.columns, mean)

    def root(self) -> FloatArray:
        """A matrix G of at most n rows with G'G = Σ, for conic solvers."""
        if self.ridge:
            raised = np.vstack([self.factor, np.sqrt(self.ridge) * np.eye(self.n_assets)])
            return np.asarray(np.linalg.qr(raised, mode="r"))
        if len(self.rows) <= self.n_assets:
            return self.factor
        # Not from Σ, where what nearly cancels has lost half its digits.
        return np.asarray(np.linalg.qr(self.factor, mode="r"))

    def _outcomes(self, weights: FloatArray) -> FloatArray:
        outcomes = self.rows @ weights
        return outcomes if self.mean is None else outcomes - float(self.mean @ weights)

    def _gram(self, rows: FloatArray, mean: FloatArray | None) -> FloatArray:
        gram = rows.T @ rows
        if mean is not None:
            raised = math.sqrt(len(rows)) * mean
            if float(np.abs(raised).max()) ** 2 > CANCELS * float(gram.diagonal().min()):
                centred = rows - mean
                gram = centred.T @ centred
            else:
                gram -= raised[:, np.newaxis] * raised
        gram *= self.scale
        if self.ridge:
            gram.reshape(-1)[:: len(gram) + 1] += self.ridge
        return np.asarray(gram)


@dataclass(frozen=True)
class DenseCovariance(Covariance):
    """A covariance that is held as the matrix itself.

    Attributes:
        matrix: Σ, shape (n, n).
        proven: Whether Σ is known to have no negative eigenvalue beyond rounding, as sums of
            squares are; otherwise it is checked when built.

    Raises:
        InvalidProblemError: Σ gives some portfolio a negative variance.
    """

    matrix: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    proven: bool = False

    def for_many(self) -> Covariance:
        """The same, as it is formed already."""
        return self

    def __post_init__(self) -> None:
        if self.proven:
            return
        values = np.linalg.eigvalsh(self.matrix)
        if float(values[0]) < -INDEFINITE * float(np.abs(values).max()):
            raise InvalidProblemError(
                "the covariance gives some portfolios a negative variance; use a longer window or"
                f" set covariance to {LEDOIT_WOLF}",
                ["parameters.covariance", "parameters.lookback"],
            )

    @property
    def n_assets(self) -> int:
        """Number of assets n."""
        return len(self.matrix)

    @lazy_property
    def dense(self) -> FloatArray:
        """Σ, shape (n, n)."""
        return self.matrix

    @lazy_property
    def variances(self) -> FloatArray:
        """Diagonal of Σ, shape (n,)."""
        return np.maximum(np.diagonal(self.matrix), 0.0)

    @lazy_property
    def mean_variance(self) -> float:
        """Mean of the variances, the unit in which variances are compared."""
        return float(self.variances.mean())

    def times(self, weights: FloatArray) -> FloatArray:
        """Σw, shape (n,)."""
        return np.asarray(self.matrix @ weights)

    def variance(self, weights: FloatArray) -> float:
        """w'Σw."""
        return max(float(weights @ self.matrix @ weights), 0.0)

    def block(self, assets: npt.NDArray[np.intp]) -> FloatArray:
        """Rows and columns of Σ for some assets, given by index."""
        return self.matrix[assets[:, np.newaxis], assets]

    def root(self) -> FloatArray:
        """A matrix G of at most n rows with G'G = Σ, for conic solvers."""
        values, vectors = np.linalg.eigh(self.matrix)
        keep = values > 0
        return np.asarray((vectors[:, keep] * np.sqrt(values[keep])).T)
