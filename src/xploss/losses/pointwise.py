"""The common form of cross-entropy and focal loss: a sum over pixels of c·(1 − p)^γ·(−log p).

Multi-class, a pixel costs Σ_c a_c·t_c·f(p_c); binary and multi-label, each entry costs
a_c·t·f(p) + b_c·(1 − t)·f(1 − p), where f(p) = −(1 − p)^γ·log p. Class weights, alpha and the
like are in the factors a and b, which enter when the statistics are scored.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from .. import parameters
from ..kernels import HUGE
from ..loss import Term

if TYPE_CHECKING:
    from .._xp import Array
    from ..activations import Activation
    from ..backend import Backend
    from ..reading import Reading

SlopesOfTruth: TypeAlias = list[tuple[str, float, "Array | None"]]

SERIES = 1e-12
"""Up to it, −log(1 − q)/q is 1 + q/2 to the last digit."""


@dataclass(frozen=True, repr=False)
class PointwiseLoss(Term):
    """A sum over pixels, divided by the weight of the pixels that count.

    Statistics, each (1, C): the cost Σ w·t·f(p), with that of the other side if not multi-class,
    and Σ w·t, or Σ w if not multi-class. If a and b differ, the sides are apart: Σ w·t·f(p),
    Σ w·(1 − t)·f(1 − p), Σ w·t and Σ w. Where the classes of a pixel need not be told apart,
    both sums are over all classes, (1, 1). A subclass defines `factors`.
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

    @property
    def apart(self) -> bool:
        """Whether the factors a and b of the two sides differ."""
        return False

    def factors(self, positive: Array, size: Array, backend: Backend) -> tuple[Array, ...]:
        """a, and b if the sides are `apart`, each (1, C), from Σ w·t and Σ w."""
        return (backend.xp.ones_like(size),)

    @property
    def foreseen(self) -> bool:
        return not self.maps

    @property
    def crowded(self) -> bool:
        return self.focus > 0

    @property
    def by_margin(self) -> bool:
        return not self.label_smoothing

    def slopes_ahead(self, pixels: Array, backend: Backend) -> tuple[Array, ...]:
        if self.mode == "multiclass":
            even = pixels[:, :1] if self.uniform else pixels / pixels.shape[1]
        else:
            even = pixels
        _, share, slopes = self.score((even,) * (4 if self.apart else 2), backend, 64)
        return tuple(share * slope for slope in slopes)

    def measure(
        self,
        activation: Activation,
        reading: Reading,
        held: tuple[Array, ...] | None = None,
    ) -> tuple[Array, ...]:
        if self._by_truth(activation, reading):
            together = self._together(reading) and not reading.spread
            if reading.labels is None and not self.apart:
                return self._sum_at_truth(activation, reading), reading.size
            if reading.labels is not None and together:
                return self._sum_at_truth(activation, reading), reading.total
            cost = self._at_truth(activation, reading)
            if reading.labels is not None:
                return self._added(reading, reading.sum_true(cost), reading.mass)
            sides = map(reading.sum, self._split(cost, reading))
            return *sides, reading.mass, reading.size
        if self._as_one:
            target = self._smoothed(activation, reading)
            return activation.sum_of_both(reading, target), reading.size
        b = reading.backend
        costs = [b.multiply(share, cost) for share, cost, *_ in self._sides(activation, reading)]
        if self.apart:
            return (*map(reading.sum, costs), reading.mass, reading.size)
        total = reading.sum(costs[0] if len(costs) == 1 else costs[0] + costs[1])
        return self._added(
            reading, total, reading.mass if self.mode == "multiclass" else reading.size
        )

    def _split(self, cost: Array, reading: Reading) -> tuple[Array, Array]:
        """The costs where a target is 1, and where it is 0, with 0 elsewhere."""
        b, xp, truth = reading.backend, reading.backend.xp, reading.truth
        if b.concrete(cost) and b.on_host(cost) and b.extent(cost)[1] < float("inf"):
            positive = b.multiply(cost, truth)
            return positive, cost - positive
        # infinite costs would be turned into NaN
        one, zero = truth > 0.5, xp.zeros_like(cost)
        return xp.where(one, cost, zero), xp.where(one, zero, cost)

    def _together(self, reading: Reading) -> bool:
        """Whether the classes need not be told apart."""
        return self.mode == "multiclass" and self.uniform and not reading.adding

    def _added(self, reading: Reading, *sums: Array) -> tuple[Array, ...]:
        """Sums per class, (k, C), or over the classes if these need not be told apart."""
        if not self._together(reading):
            return sums
        return tuple(map(reading.backend.add_classes, sums))

    def score(
        self, statistics: tuple[Array, ...], backend: Backend, bits: int
    ) -> tuple[Array, Array, tuple[Array, ...]]:
        xp = backend.xp
        *costs, positive, size = statistics if self.apart else (*statistics, statistics[-1])
        weights = backend.constant(self.weights(size.shape[1]), size)[None, :]
        slopes = tuple(weights * factor for factor in self.factors(positive, size, backend))
        losses = slopes[0] * costs[0]
        if self.apart:
            losses = losses + slopes[1] * costs[1]
        share = xp.ones_like(losses)
        if self.reduction == "mean":
            divisor = backend.add_all(weights * size)
            some = divisor > 0
            share = xp.where(some, share / xp.where(some, divisor, xp.ones_like(divisor)), 0.0)
        return losses, share, slopes

    def pull(self, activation: Activation, reading: Reading, slopes: tuple[Array, ...]) -> None:
        scales = [slope[:, :, None] for slope in slopes]
        if self._by_truth(activation, reading):
            b, scale = reading.backend, self._scale_true(reading, [-scale for scale in scales])
            for name, factor, by in self._slopes_at_truth(activation, reading):
                scaled = scale
                if factor != 1:
                    scaled = b.multiply(scale, b.constant(factor, scale))
                if name == "away":
                    assert by is not None
                    reading.slopes.away += ((scaled, by),)
                elif by is not None:
                    reading.slopes.add(name, b.multiply(scaled, by))
                else:
                    labels = reading.labels
                    spread = scaled if labels is None else b.xp.broadcast_to(scaled, labels.shape)
                    reading.slopes.add(name, spread)
            return
        if self._as_one:
            target = self._smoothed(activation, reading)
            reading.slopes.add("z", activation.slope_of_both(target, scales[0]))
            return
        b, signs = reading.backend, (("log_p", 1), ("log_q", -1))
        sides = zip(signs, self._sides(activation, reading), strict=False)
        for ((name, sign), (share, _, by_cost, by_q)), scale in zip(
            sides, scales if self.apart else (scales[0], scales[0]), strict=False
        ):
            scaled = b.multiply(share, -scale)
            if by_q is not None:
                by_p = b.multiply(scaled, by_q)
                factor = b.constant(sign * self.focus, by_p)
                reading.slopes.add("p", b.multiply(by_p, factor, by_p))
            if by_cost is not None:
                scaled = b.multiply(scaled, by_cost, scaled)
            reading.slopes.add(name, scaled)

    def map(self, activation: Activation, reading: Reading, slopes: tuple[Array, ...]) -> Array:
        """The loss of each pixel, (k, 1, m) multi-class, else of each entry, (k, C, m)."""
        xp, weight = reading.backend.xp, reading.weight
        scales = [slope[:, :, None] for slope in slopes]
        if self._by_truth(activation, reading):
            cost = self._at_truth(activation, reading) * self._scale_true(reading, scales)
            if reading.labels is not None and weight is not None and reading.spread:
                weight = reading.at_truth(weight)
            return cost if weight is None else cost * weight
        total = xp.zeros_like(activation.p)
        for (share, cost, *_), scale in zip(
            self._sides(activation, reading),
            scales if self.apart else (scales[0], scales[0]),
            strict=False,
        ):
            total = total + scale * share * cost
        total = total if weight is None else total * weight
        return reading.backend.add_classes(total) if self.mode == "multiclass" else total

    @property
    def _as_one(self) -> bool:
        """Whether the cost of an entry is that of both sides, which a sigmoid gives as one."""
        return self.from_logits and self.mode != "multiclass" and not (self.apart or self.focus)

    def _by_truth(self, activation: Activation, reading: Reading) -> bool:
        return not self.label_smoothing and activation.has_truth(reading)

    def _scale_true(self, reading: Reading, scales: list[Array]) -> Array:
        """The factor of the truth: at each pixel's label, or of the true side of an entry."""
        if reading.labels is None:
            if not self.apart:
                return scales[0]
            return reading.backend.line(scales[0] - scales[1], reading.truth, scales[1])
        if not self.uniform:
            return reading.at_truth(scales[0])
        scale, known = scales[0], reading.labelled
        # not of one class too, of which functorch cannot take a part
        scale = scale if scale.shape[1] == 1 else scale[:, :1, :]
        return scale if known is None else reading.backend.multiply(scale, known)

    def _at_truth(self, activation: Activation, reading: Reading) -> Array:
        """F of the truth."""
        if self.focus:
            return self._focal_at_truth(activation, reading)[0]
        return activation.cost_true(reading)

    def _slopes_at_truth(self, activation: Activation, reading: Reading) -> SlopesOfTruth:
        """The names of the slopes, with a factor and F's derivative, of the other sign; None is 1.

        The cost falls with log p, and what it is multiplied by, 1 − p, with p.
        """
        if self.focus:
            return self._focal_at_truth(activation, reading)[1]
        return [("log_p_true", 1.0, None)]

    def _focal_at_truth(
        self, activation: Activation, reading: Reading
    ) -> tuple[Array, SlopesOfTruth]:
        key = ("focal", self.focus)
        if key not in reading.memory:
            at_once = activation.focal_true(reading, self.focus)
            if at_once is not None:
                cost, by_away = at_once
                reading.memory[key] = cost, [("away", -1.0, by_away)]
            else:
                q, cost = activation.sides_true(reading)
                cost, by_cost, by_q = _focal(reading.backend, q, cost, self.focus)
                slopes = [("log_p_true", 1.0, by_cost), ("p_true", self.focus, by_q)]
                reading.memory[key] = cost, slopes
        found: tuple[Array, SlopesOfTruth] = reading.memory[key]
        return found

    def _sum_at_truth(self, activation: Activation, reading: Reading) -> Array:
        """Σ w·F over the pixels, of F of the truth."""
        if self.focus:
            return reading.sum(self._at_truth(activation, reading))
        return activation.sum_of_costs(reading)

    def _sides(
        self, activation: Activation, reading: Reading
    ) -> list[tuple[Array, Array, Array | None, Array | None]]:
        """Per side, p and unless multi-class 1 − p: its share of the target, and its `_focal`."""
        b, t, focus = reading.backend, self._smoothed(activation, reading), self.focus
        q = activation.q if focus else None
        sides = [(t, *_focal(b, q, _negative(b, activation.log_p), focus))]
        if self.mode != "multiclass":
            p = activation.p if focus else None
            sides.append((b.complement(t), *_focal(b, p, _negative(b, activation.log_q), focus)))
        return sides

    def _smoothed(self, activation: Activation, reading: Reading) -> Array:
        """The target with label smoothing, but where a class is masked by a logit of −inf."""
        b, t, s = reading.backend, reading.truth, self.label_smoothing
        if not s:
            return t
        even = s / (reading.classes if self.mode == "multiclass" else 2)
        smoothed = b.line(b.constant(1 - s, t), t, b.constant(even, t))
        if not self.from_logits or activation.finite:
            return smoothed
        xp = b.xp
        masked = (t == 0) & (activation.x == -float("inf"))
        return xp.where(masked, xp.zeros_like(t), smoothed)


def _negative(backend: Backend, x: Array) -> Array:
    return backend.multiply(x, backend.constant(-1.0, x))


def _focal(
    backend: Backend, q: Array | None, cost: Array, focus: float
) -> tuple[Array, Array | None, Array | None]:
    """F = q^γ·c, its derivative by c, q^γ, and that by q over γ, q^(γ−1)·c; c = −log(1 − q).

    For γ < 1 the latter is q^γ·(c/q): towards q = 0 the quotient is 1 + q/2, and the derivative
    of a saturated pixel stays finite. It is multiplied by p = 1 − q later, and bounded, so that an
    infinite cost, whose p is 0, adds 0 to the gradient. For γ = 0, which needs no q, they are 1 and
    0, given as None.
    """
    xp = backend.xp
    if q is None:
        return cost, None, None
    bounded = backend.minimum(cost, HUGE)
    if focus >= 1.0:
        lower = q if focus == 2.0 else backend.power(q, focus - 1)
        inner = bounded if focus == 1.0 else backend.multiply(lower, bounded)
        power = q if focus == 1.0 else backend.multiply(lower, q)
        return backend.multiply(power, cost), power, inner
    power, some = backend.power(q, focus), q > SERIES
    ratio = xp.where(some, bounded / xp.where(some, q, xp.ones_like(q)), 1 + q / 2)
    return power * cost, power, power * ratio
