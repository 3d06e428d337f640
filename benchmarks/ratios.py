"""The arithmetic: medians and spreads of ratios, fitted exponents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    def json(self) -> dict[str, float]:
        """As a plain dictionary, to six digits."""
        return {name: float(f"{value:.6g}") for name, value in asdict(self).items()}


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile of a share in [0, 1], linear between the values."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def spread(values: Sequence[float]) -> Spread:
    """The median and the quartiles."""
    return Spread(quantile(values, 0.5), quantile(values, 0.25), quantile(values, 0.75))


def pairwise(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The spread of ours over theirs, round by round: what slows a whole round cancels.

    Who left early is compared over the first rounds.
    """
    return spread([a / b for a, b in zip(ours, theirs, strict=False)])


def fastest(ratios: Mapping[str, Spread]) -> str | None:
    """The peer that does best against us; None without any."""
    return max(ratios, key=lambda name: ratios[name].median, default=None)


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The e of seconds ~ size^e: the slope of the least-squares line through the logarithms."""
    xs, ys = [math.log(v) for v in sizes], [math.log(v) for v in seconds]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum(
        (a - x) ** 2 for a in xs
    )


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios."""
    return math.exp(sum(math.log(v) for v in values) / len(values))
