"""Dice, Jaccard, Tversky and F-beta: losses of the overlap of prediction and target.

All four are one score, Tversky's, with the sums I = Σ w·min(p, t), P = Σ w·p and T = Σ w·t:

    1 − score = E / (I + E + s),  E = α·(P − I) + β·(T − I)

Dice is α = β = 1/2 with half the smoothing, Jaccard α = β = 1, F-beta α = 1/(1 + b²).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from .. import parameters
from .region import RegionLoss

if TYPE_CHECKING:
    from .._xp import Array
    from ..backend import Backend

LOG_OFFSET = 1e-7
"""Added to the score under the logarithm, which makes it finite everywhere."""


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
            wrong = xp.where(wrong > 0, wrong, 0.0)
        right = i + smooth
        whole = right + wrong
        empty = whole == 0
        safe = xp.where(empty, 1.0, whole)
        loss, score = wrong / safe, right / safe
        # without target pixels nothing moves I; its slope, 1/P, might be infinite
        found = t > 0
        by_overlap = (-(alpha + beta) * score - loss) / xp.where(found, safe, 1.0)
        by_overlap = xp.where(found, by_overlap, 0.0)
        by_predicted = alpha * score / safe
        if not self.log_loss and self.gamma == 1.0:
            return loss, by_overlap, by_predicted
        score = xp.where(empty, 1.0, score)
        value, slope = self._outer(loss, score, backend)
        return value, slope * by_overlap, slope * by_predicted

    def _outer(self, loss: Array, score: Array, backend: Backend) -> tuple[Array, Array]:
        """L^γ or −ln((1 − L + ε)/(1 + ε)), with its derivative by L."""
        xp = backend.xp
        if self.log_loss:
            # of two equal forms the one that is exact at its end
            near = -xp.log1p(-xp.where(loss < 0.5, loss, 0.5) / (1 + LOG_OFFSET))
            far = -xp.log((score + LOG_OFFSET) / (1 + LOG_OFFSET))
            return xp.where(loss < 0.5, near, far), 1 / (score + LOG_OFFSET)
        base = xp.where(loss > 0, loss, 1.0)
        power = base ** (self.gamma - 1)
        return xp.where(loss > 0, base * power, 0.0), xp.where(loss > 0, self.gamma * power, 0.0)


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
