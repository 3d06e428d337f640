"""How far a result may be from the exact one: one error analysis for all cases and backends.

Every golden number comes with a scale (`golden/README.md`): the sum, over the quantities on the way
to it, of their size times the derivative of the result by them, where the size of a probability
includes the condition of the exponential, p (1 + |log p|). If each quantity carries a relative
error of at most k roundings of the computing type, the result is within k·u·scale, to first order.
What makes up k:

* 4  exp, log, log1p and power, as NumPy, torch, XLA and CUDA give them (at most 2 ulp = 4 u);
* 4  what surrounds them in softmax, sigmoid and softplus: subtracted maximum, sum, ratio, sign;
* 4  the products of target, weight, factor and slope that make up one summand;
* 4  the score: the sum in the numerator, that in the denominator, their ratio and the reduction.

The sums of the small cases have at most 16 terms of equal sign; where they are formed in float64
their rounding vanishes, and where they are not it is within the last two lines. That is k = 16.
The result is then rounded once to its own dtype, and nothing is tuned case by case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNITS = 16
"""The k of the analysis: how many roundings of the computing type a quantity may carry."""

ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
SMALLEST = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-24, "bfloat16": 2.0**-126}
"""Below these a result may become 0: the smallest normal number; float16 keeps its subnormals."""

LARGEST = {"float64": 2.0**1023, "float32": 2.0**127, "float16": 65504.0, "bfloat16": 2.0**127}
"""Beyond these a result may be infinite: IEEE rounding to the dtype says so."""

VANISHED = {"float64": 1e-39, "float32": 2.0**-100}
"""What underflow on the way may cost: golden data holds no magnitude below 1e-40, and a product of
quantities below 2^-126, which XLA and GPUs flush to 0, with slopes below 2^26 is under 2^-100."""

HISTOGRAM_VALUE = 1e-7
"""The Lovász loss by histogram, absolutely and relatively: errors of a bin share its mean error."""

HISTOGRAM_GRADIENT = 1e-4
"""Its gradient, relative in L2: the pixels of a bin share one weight."""


def computing(dtype: str) -> str:
    """The dtype in which a tile is computed, which is also that of the value."""
    return "float64" if dtype == "float64" else "float32"


@dataclass(frozen=True)
class Deviation:
    """How far a result is off, as a share of the tolerance and in ulp of its scale."""

    share: float
    ulp: float

    @property
    def within(self) -> bool:
        return self.share <= 1


def deviation(
    found: np.ndarray, exact: np.ndarray, scale: np.ndarray, dtype: str, computed: str
) -> Deviation:
    """The deviation of an array of `dtype` that was computed in the dtype `computed`."""
    exact = np.where(np.abs(exact) > LARGEST[dtype], np.copysign(np.inf, exact), exact)
    same = np.isinf(exact) & (found == exact)
    found, exact = np.where(same, 0.0, found.astype(np.float64)), np.where(same, 0.0, exact)
    error = np.abs(found - exact)
    rounding = ROUNDOFF[dtype] * np.abs(exact) + SMALLEST[dtype]
    allowed = UNITS * ROUNDOFF[computed] * scale + rounding + VANISHED[computed]
    ulp = 2 * ROUNDOFF[dtype] * np.maximum(scale, np.abs(exact)) + VANISHED[computed]
    return Deviation(_largest(error / allowed), _largest(error / (ulp + SMALLEST[dtype])))


def histogram_value(found: np.ndarray, exact: np.ndarray, dtype: str) -> Deviation:
    """The deviation of a value by histogram."""
    size = np.maximum(1.0, np.abs(exact))
    error = np.abs(found.astype(np.float64) - exact) / size
    unit = ROUNDOFF[computing(dtype)]
    return Deviation(_largest(error / (HISTOGRAM_VALUE + UNITS * unit)), _largest(error / unit / 2))


def histogram_gradient(found: np.ndarray, exact: np.ndarray, dtype: str) -> Deviation:
    """The deviation of a gradient by histogram."""
    error = float(np.linalg.norm(found.astype(np.float64) - exact))
    size = float(np.linalg.norm(exact)) + VANISHED[computing(dtype)]
    tolerance = HISTOGRAM_GRADIENT + UNITS * ROUNDOFF[dtype]
    return Deviation(error / size / tolerance, error / size / ROUNDOFF[dtype] / 2)


def _largest(x: np.ndarray) -> float:
    """The largest number of an array, infinite if one is NaN."""
    return float("inf") if np.isnan(x).any() else float(np.max(x, initial=0.0))
