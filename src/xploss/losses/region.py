"""Losses of a region: a score per class from the overlap of prediction and target."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal

from .. import parameters
from ..loss import Term

if TYPE_CHECKING:
    from .._xp import Array
    from ..activations import Activation
    from ..backend import Backend
    from ..reading import Reading


@dataclass(frozen=True, repr=False)
class RegionLoss(Term):
    """A loss per class and region, scored from the statistics (I, P, T, W).

    I, P and T are as `overlap` says, W = Σ w; each (R, C). A subclass defines `region_loss`.
    """

    _: KW_ONLY
    per_image: bool = False
    overlap: Literal["min", "product", "squared"] = "min"
    absent: Literal["keep", "skip", "zero"] = "keep"
    average: Literal["macro", "micro"] = "macro"

    def __post_init__(self) -> None:
        super().__post_init__()
        parameters.flag("per_image", self.per_image)
        parameters.choice("overlap", self.overlap, ("min", "product", "squared"))
        parameters.choice("absent", self.absent, ("keep", "skip", "zero"))
        parameters.choice("average", self.average, ("macro", "micro"))
        if self.average == "micro" and self.class_weights is not None:
            raise ValueError(
                f'class_weights is {self.class_weights} and average is "micro", which adds the '
                'classes before the score; expected None; use average="macro" to weigh classes'
            )

    @abstractmethod
    def region_loss(
        self, statistics: tuple[Array, ...], backend: Backend
    ) -> tuple[Array, Array, Array]:
        """The loss of each class (R, C), and its derivatives by I and by P."""

    def measure(
        self,
        activation: Activation,
        reading: Reading,
        held: tuple[Array, ...] | None = None,
    ) -> tuple[Array, ...]:
        p = activation.p
        power = 2 if self.overlap == "squared" else None
        if reading.looked_up:
            overlap = reading.sum_true(activation.true(reading))
        elif self.overlap == "min" and not reading.hard:
            overlap = reading.sum(reading.backend.lesser(p, reading.truth))
        else:
            overlap = activation.sum_of_overlap(reading)
        predicted = reading.sum(p if power is None else reading.backend.multiply(p, p))
        masks = reading.labels is not None and not reading.looked_up
        mass = reading.sum_where_target(reading.truth) if masks else reading.mass_of(power)
        return overlap, predicted, mass, reading.size

    def score(
        self, statistics: tuple[Array, ...], backend: Backend, bits: int
    ) -> tuple[Array, Array, tuple[Array, ...]]:
        overlap, _, mass, size = statistics
        classes = overlap.shape[1]
        xp, weights = backend.xp, backend.constant(self.weights(classes), overlap)[None, :]
        if self.average == "micro":
            counted = xp.astype(weights > 0, overlap.dtype)
            statistics = tuple(xp.sum(s * counted, axis=1, keepdims=True) for s in statistics)
            _, _, mass, size = statistics
            weights = xp.ones_like(mass)
        losses, by_overlap, by_predicted = self.region_loss(statistics, backend)
        share = share_of_classes(self, weights, mass, size, backend)
        if self.average == "micro":
            by_overlap, by_predicted = by_overlap * counted, by_predicted * counted
        return losses, share, (by_overlap, by_predicted)

    def pull(self, activation: Activation, reading: Reading, slopes: tuple[Array, ...]) -> None:
        by_overlap, by_predicted = (slope[:, :, None] for slope in slopes)
        own = by_predicted
        if self.overlap == "squared":
            own = reading.backend.multiply(activation.p, 2 * by_predicted)
        if reading.looked_up:
            reading.slopes.add("p" if self.overlap == "squared" else "p_class", own)
            reading.slopes.add("p_true", reading.at_truth(by_overlap))
            return
        b, t = reading.backend, reading.truth
        if self.overlap == "min" and not reading.hard:
            t = b.rise_of_lesser(activation.p, t)
        if reading.dense is not None and reading.hard and self.overlap != "squared":
            reading.slopes.add_line(own, by_overlap)
        else:
            reading.slopes.add("p", b.line(by_overlap, t, own))


def share_of_classes(
    term: Any, weights: Array, mass: Array, size: Array, backend: Backend
) -> Array:
    """The factor of each class's loss in the value, (R, C), from Σ w·t and Σ w.

    Classes without a target pixel are treated as ``absent`` says; samples without a pixel that
    counts are left out.
    """
    xp = backend.xp
    valid = backend.add_classes(size) > 0
    share = xp.where(valid, weights, 0.0)
    if term.absent == "skip":
        share = xp.where(mass > 0, share, 0.0)
    if term.reduction == "mean":
        divisor = backend.add_classes(share)
        if divisor.shape[0] > 1:
            counted = xp.astype(divisor > 0, share.dtype)
            divisor = divisor * xp.sum(counted, axis=0, keepdims=True)
        share = share / xp.where(divisor > 0, divisor, 1.0)
    if term.absent == "zero":
        share = xp.where(mass > 0, share, 0.0)
    return share
