"""The common form of cross-entropy and focal loss: a sum over pixels of c·(1 − p)^γ·(−log p).

Multi-class, a pixel costs Σ_c a_c·t_c·f(p_c); binary and multi-label, each entry costs
a_c·t·f(p) + b_c·(1 − t)·f(1 − p), where f(p) = −(1 − p)^γ·log p. Class weights, alpha and the
like are in the factors a and b, which enter when the statistics are scored.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar

from .. import parameters
from ..loss import Term

if TYPE_CHECKING:
    from .._xp import Array
    from ..activations import Activation
    from ..backend import Backend
    from ..reading import Reading


@dataclass(frozen=True, repr=False)
class PointwiseLoss(Term):
    """A sum over pixels, divided by the weight of the pixels that count.

    Statistics: multi-class Σ w·t·f(p) and Σ w·t; otherwise Σ w·t·f(p), Σ w·(1 − t)·f(1 − p),
    Σ w·t and Σ w; each (1, C). A subclass defines `factors`, and `focus` if γ is not 0.
    """

    _: KW_ONLY
    label_smoothing: float = 0.0

    pointwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        smoothing = parameters.number("label_smoothing", self.label_smoothing, 0.0, 1.0)
        self._set("label_smoothing", smoothing)

    @property
    def focus(self) -> float:
        """γ."""
        return 0.0

    def factors(self, positive: Array, size: Array, backend: Backend) -> tuple[Array, ...]:
        """a, and b unless multi-class, each (1, C), from Σ w·t and Σ w."""
        raise NotImplementedError

    def measure(
        self,
        activation: Activation,
        reading: Reading,
        held: tuple[Array, ...] | None = None,
    ) -> tuple[Array, ...]:
        if reading.labels is not None and not self.label_smoothing:
            cost = self._at_truth(activation, reading)[0]
            return reading.sum_true(cost), reading.mass
        sums = [reading.sum(share * cost) for share, cost, *_ in self._sides(activation, reading)]
        return (*sums, reading.mass) if len(sums) == 1 else (*sums, reading.mass, reading.size)

    def score(
        self, statistics: tuple[Array, ...], backend: Backend, bits: int
    ) -> tuple[Array, Array, tuple[Array, ...]]:
        xp, multiclass = backend.xp, len(statistics) == 2
        costs, positive = statistics[: len(statistics) // 2], statistics[len(statistics) // 2]
        size = positive if multiclass else statistics[-1]
        weights = backend.constant(self.weights(positive.shape[1]), positive)[None, :]
        slopes = tuple(weights * factor for factor in self.factors(positive, size, backend))
        losses = sum(
            (s * c for s, c in zip(slopes, costs, strict=True)), start=xp.zeros_like(positive)
        )
        share = xp.ones_like(losses)
        if self.reduction == "mean":
            divisor = xp.sum(weights * size)
            share = share / xp.where(divisor > 0, divisor, xp.ones_like(divisor))
        return losses, share, slopes

    def pull(
        self, activation: Activation, reading: Reading, slopes: tuple[Array, ...]
    ) -> None:
        scales = [slope[:, :, None] for slope in slopes]
        if reading.labels is not None and not self.label_smoothing:
            parts = self._at_truth(activation, reading)
            scale = reading.at_truth(scales[0])
            reading.slopes.add("log_p_true", scale * parts[1])
            if self.focus:
                reading.slopes.add("p_true", scale * parts[2])
            return
        sides = zip(("log_p", "log_q"), (1, -1), self._sides(activation, reading), scales)
        for name, sign, (share, _, by_log, by_p), scale in sides:
            reading.slopes.add(name, scale * share * by_log)
            if self.focus:
                reading.slopes.add("p", sign * scale * share * by_p)

    def map(
        self, activation: Activation, reading: Reading, slopes: tuple[Array, ...]
    ) -> Array:
        """The loss of each pixel, (k, 1, m) multi-class, else of each entry, (k, C, m)."""
        xp, weight = reading.backend.xp, reading.weight
        scales = [slope[:, :, None] for slope in slopes]
        if reading.labels is not None and not self.label_smoothing:
            cost = self._at_truth(activation, reading)[0]
            cost = cost * reading.at_truth(scales[0])
            if weight is not None and weight.shape[1] > 1:
                weight = reading.at_truth(weight)
            return cost if weight is None else cost * weight
        sides = self._sides(activation, reading)
        parts = [a * share * cost for a, (share, cost, *_) in zip(scales, sides, strict=True)]
        total = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        total = total if weight is None else total * weight
        return xp.sum(total, axis=1, keepdims=True) if self.mode == "multiclass" else total

    def _at_truth(
        self, activation: Activation, reading: Reading
    ) -> tuple[Array, Array, Array]:
        """f, df/dlog p and df/dp at each pixel's label."""
        if self.focus:
            return _focal(reading.backend, *activation.sides_true(reading), self.focus)
        log_p = activation.log_true(reading)
        return _focal(reading.backend, log_p, log_p, log_p, 0.0)

    def _sides(
        self, activation: Activation, reading: Reading
    ) -> list[tuple[Array, Array, Array, Array]]:
        """Per side, p and unless multi-class 1 − p: its share of the target, f, df/dlog, df/dp."""
        b, p, q = reading.backend, activation.p, activation.q
        t, s = reading.truth, self.label_smoothing
        if s:
            even = s / (reading.classes if self.mode == "multiclass" else 2)
            smoothed = t * (1 - s) + even
            if self.from_logits:
                masked = (t == 0) & (activation.x == -float("inf"))
                smoothed = b.xp.where(masked, b.xp.zeros_like(t), smoothed)
            t = smoothed
        sides = [(t, *_focal(b, p, q, activation.log_p, self.focus))]
        if self.mode != "multiclass":
            sides.append((1 - t, *_focal(b, q, p, activation.log_q, self.focus)))
        return sides


def _focal(
    backend: Backend, p: Array, q: Array, log_p: Array, focus: float
) -> tuple[Array, Array, Array]:
    """f = −q^γ·log p with q = 1 − p, and its derivatives by log p, −q^γ, and by p.

    The latter is γ·q^(γ−1)·log p, written γ·q^γ·(log p)/q: where q is 0 the quotient is −1,
    and the derivative of a saturated pixel stays finite for γ < 1.
    """
    xp = backend.xp
    if not focus:
        return -log_p, -xp.ones_like(log_p), xp.zeros_like(log_p)
    q = backend.maximum(q, 0.0)
    power = q if focus == 1.0 else q * q if focus == 2.0 else q**focus
    some = q > 0
    ratio = xp.where(some, log_p / xp.where(some, q, xp.ones_like(q)), -xp.ones_like(q))
    return -power * log_p, -power, focus * power * ratio
