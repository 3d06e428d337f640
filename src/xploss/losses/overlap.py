"""Dice, Jaccard, Tversky and F-beta: losses of the overlap of prediction and target.

All four are one score, Tversky's, with the sums I = Σ w·min(p, t), P = Σ w·p and T = Σ w·t:

    1 − score = E / (I + E + s),  E = α·(P − I) + β·(T − I)

Dice is α = β = 1/2 with half the smoothing, Jaccard α = β = 1, F-beta α = 1/(1 + b²).
"""

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

LOG_OFFSET = 1e-7
"""Added to the score under the logarithm, which makes it finite everywhere."""


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
        if reading.labels is not None:
            overlap = reading.sum_true(activation.true(reading))
        elif self.overlap == "min" and not reading.hard:
            overlap = reading.sum(reading.backend.xp.minimum(p, reading.truth))
        else:
            overlap = reading.sum(reading.backend.multiply(p, reading.truth))
        predicted = reading.sum(p if power is None else p * p)
        return overlap, predicted, reading.mass_of(power), reading.size

    def score(
        self, statistics: tuple[Array, ...], backend: Backend, bits: int
    ) -> tuple[Array, Array, tuple[Array, ...]]:
        overlap, _, mass, size = statistics
        classes = overlap.shape[1]
        xp, weights = backend.xp, backend.constant(self.weights(classes), overlap)[None, :]
        counted = xp.astype(weights > 0, overlap.dtype)
        if self.average == "micro":
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
            own = 2 * by_predicted * activation.p
        if reading.labels is not None:
            reading.slopes.add("p" if self.overlap == "squared" else "p_class", own)
            reading.slopes.add("p_true", reading.at_truth(by_overlap))
            return
        b, t = reading.backend, reading.truth
        if self.overlap == "min" and not reading.hard:
            # d min(p, t)/dp: 1 below t, 0 above, and t where they are equal
            xp, p = b.xp, activation.p
            t = xp.where(p < t, xp.ones_like(t), xp.where(p > t, xp.zeros_like(t), t))
        reading.slopes.add("p", b.add_to(b.multiply(by_overlap, t), own))


def share_of_classes(
    term: Any, weights: Array, mass: Array, size: Array, backend: Backend
) -> Array:
    """The factor of each class's loss in the value, (R, C), from Σ w·t and Σ w.

    Classes without a target pixel are treated as ``absent`` says; samples without a pixel that
    counts are left out.
    """
    xp = backend.xp
    valid = xp.sum(size, axis=1, keepdims=True) > 0
    share = xp.where(valid, weights, xp.zeros_like(size))
    if term.absent == "skip":
        share = xp.where(mass > 0, share, xp.zeros_like(share))
    if term.reduction == "mean":
        total = xp.sum(share, axis=1, keepdims=True)
        counted = xp.astype(total > 0, share.dtype)
        samples = xp.sum(counted, axis=0, keepdims=True)
        divisor = total * samples
        share = share / xp.where(divisor > 0, divisor, xp.ones_like(divisor))
    if term.absent == "zero":
        share = xp.where(mass > 0, share, xp.zeros_like(share))
    return share


@dataclass(frozen=True, repr=False)
class _Tversky(RegionLoss):
    """The Tversky score of α, β and s, and what is made of it."""

    _: KW_ONLY
    smooth: float = 0.0
    log_loss: bool = False
    gamma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("smooth", parameters.number("smooth", self.smooth, low=0.0))
        parameters.flag("log_loss", self.log_loss)
        self._set("gamma", parameters.positive("gamma", self.gamma))
        if self.log_loss and self.gamma != 1.0:
            raise ValueError(
                f"gamma is {self.gamma:g} and log_loss is True; expected one of them: the loss "
                "is a power of 1 - score, or a logarithm of the score"
            )

    @property
    @abstractmethod
    def tversky(self) -> tuple[float, float, float]:
        """α, β and s of the Tversky score."""

    def region_loss(
        self, statistics: tuple[Array, ...], backend: Backend
    ) -> tuple[Array, Array, Array]:
        """f(L) with L = 1 − score = E/D, E = α(P − I) + β(T − I) and D = I + E + s.

        dL/dI = −((α + β)(I + s) + E)/D² and dL/dP = α(I + s)/D²; 0/0 is a perfect score.
        """
        xp, (alpha, beta, smooth) = backend.xp, self.tversky
        i, p, t, _ = statistics
        wrong = alpha * (p - i) + beta * (t - i)
        if self.overlap != "squared":
            wrong = xp.where(wrong > 0, wrong, xp.zeros_like(wrong))
        right = i + smooth
        whole = right + wrong
        safe = xp.where(whole == 0, xp.ones_like(whole), whole)
        loss = wrong / safe
        # without target pixels nothing moves I; its slope, 1/P, might be infinite
        steep = -((alpha + beta) * right + wrong) / safe / safe
        by_overlap = xp.where(t > 0, steep, xp.zeros_like(steep))
        by_predicted = alpha * right / safe / safe
        score = xp.where(whole == 0, xp.ones_like(whole), right / safe)
        value, slope = self._outer(loss, score, backend)
        return value, slope * by_overlap, slope * by_predicted

    def _outer(self, loss: Array, score: Array, backend: Backend) -> tuple[Array, Array]:
        """L, L^γ or −ln((1 − L + ε)/(1 + ε)), with its derivative by L."""
        xp = backend.xp
        one = xp.ones_like(loss)
        if self.log_loss:
            # of two equal forms the one that is exact at its end
            near = -xp.log1p(-xp.where(loss < 0.5, loss, one / 2) / (1 + LOG_OFFSET))
            far = -xp.log((score + LOG_OFFSET) / (1 + LOG_OFFSET))
            return xp.where(loss < 0.5, near, far), 1 / (score + LOG_OFFSET)
        if self.gamma == 1.0:
            return loss, one
        base = xp.where(loss > 0, loss, one)
        power = base ** (self.gamma - 1)
        zero = xp.zeros_like(loss)
        return xp.where(loss > 0, base * power, zero), xp.where(loss > 0, self.gamma * power, zero)


@dataclass(frozen=True, repr=False)
class TverskyLoss(_Tversky):
    """Tversky loss: 1 − (I + s)/(I + α·FP + β·FN + s) per class.

    FP = P − I and FN = T − I, with I, P and T as `overlap` says. α weighs false positives, β
    false negatives. Dice is α = β = 1/2, Jaccard α = β = 1. With ``gamma`` it is focal Tversky.

    Parameters
    ----------
    {shared}
    {region}
    {overlap}
    {tversky}
    alpha, beta : float, default 0.5
        The weights of false positives and of false negatives; at least 0, not both 0.

    Notes
    -----
    {notes}

    References
    ----------
    Salehi, Erdogmus, Gholipour, "Tversky loss function for image segmentation using 3D fully
    convolutional deep networks", MLMI 2017. Focal: Abraham, Khan, "A novel focal Tversky
    loss function", ISBI 2019, eq. 4 (with the exponent 1/γ there).

    Examples
    --------
    >>> recall_first = TverskyLoss("binary", alpha=0.3, beta=0.7)
    """

    _: KW_ONLY
    alpha: float = 0.5
    beta: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("alpha", parameters.number("alpha", self.alpha, low=0.0))
        self._set("beta", parameters.number("beta", self.beta, low=0.0))
        if self.alpha == self.beta == 0.0:
            raise ValueError("alpha and beta are both 0; expected one above 0")

    @property
    def tversky(self) -> tuple[float, float, float]:
        return self.alpha, self.beta, self.smooth


@dataclass(frozen=True, repr=False)
class DiceLoss(_Tversky):
    """Dice loss: 1 − (2I + s)/(P + T + s) per class.

    I, P and T are as `overlap` says: for hard targets the overlap, the size of the prediction
    and the size of the target.

    Parameters
    ----------
    {shared}
    {region}
    {overlap}
    {tversky}

    Notes
    -----
    {notes}

    References
    ----------
    Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, section 3 (``overlap="squared"``); Drozdzal et
    al., "The importance of skip connections in biomedical image segmentation", 2016
    (``"product"``); Wang et al., "Dice semimetric losses", MICCAI 2023 (``"min"``).

    Examples
    --------
    >>> loss = DiceLoss("multiclass", ignore_index=255)
    >>> value, gradient = loss.value_and_grad(logits, labels)
    """

    @property
    def tversky(self) -> tuple[float, float, float]:
        return 0.5, 0.5, self.smooth / 2


@dataclass(frozen=True, repr=False)
class JaccardLoss(_Tversky):
    """Jaccard (IoU) loss: 1 − (I + s)/(P + T − I + s) per class; `IoULoss` is the same class.

    Parameters
    ----------
    {shared}
    {region}
    {overlap}
    {tversky}

    Notes
    -----
    {notes}

    References
    ----------
    Rahman, Wang, "Optimizing intersection-over-union in deep neural networks for image
    segmentation", ISVC 2016 (``overlap="product"``); Wang et al., "Jaccard metric
    losses: optimizing the Jaccard index with soft labels", NeurIPS 2023 (``"min"``).
    """

    @property
    def tversky(self) -> tuple[float, float, float]:
        return 1.0, 1.0, self.smooth


IoULoss = JaccardLoss


@dataclass(frozen=True, repr=False)
class FBetaLoss(_Tversky):
    """F-beta loss: 1 − ((1 + b²)I + s)/((1 + b²)I + b²·FN + FP + s) per class.

    FP = P − I and FN = T − I, with I, P and T as `overlap` says. At b = 1 it is Dice.

    Parameters
    ----------
    {shared}
    {region}
    {overlap}
    {tversky}
    beta : float, default 1
        The b: above 1 recall counts more than precision, below 1 less, at 0 not at all.

    Notes
    -----
    {notes}

    References
    ----------
    van Rijsbergen, "Information Retrieval", 1979, chapter 7; Hashemi et al., "Asymmetric loss
    functions and deep densely-connected networks", IEEE Access 2019.
    """

    _: KW_ONLY
    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("beta", parameters.number("beta", self.beta, low=0.0))

    @property
    def tversky(self) -> tuple[float, float, float]:
        whole = 1 + self.beta**2
        return 1 / whole, self.beta**2 / whole, self.smooth / whole
