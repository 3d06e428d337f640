"""Focal loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar

from .. import parameters
from .pointwise import PointwiseLoss

if TYPE_CHECKING:
    from .._xp import Array
    from ..backend import Backend


@dataclass(frozen=True, repr=False)
class FocalLoss(PointwiseLoss):
    """Focal loss: −Σ_c t_c·α_c·(1 − p_c)^γ·log p_c, by softmax, in multi-class mode.

    Binary and multi-label, per entry:
    −(α·t·(1 − p)^γ·log p + (1 − α)·(1 − t)·p^γ·log(1 − p)); without `alpha` both factors are 1.
    One class against the rest is ``mode="multilabel"`` with the same labels. γ = 0 without
    `alpha` is cross-entropy. ``"mean"`` divides as in `CrossEntropyLoss`, without `alpha`.

    Parameters
    ----------
    {shared}
    gamma : float, default 2
        The γ, at least 0.
    alpha : float or sequence of float, optional
        Binary and multi-label: the weight of positives in [0, 1], one number or one per counted
        class. Multi-class: one factor per counted class; a single number is refused.
    label_smoothing : float, default 0
        As in `CrossEntropyLoss`.

    Notes
    -----
    The gradient is finite at saturated pixels for every γ, also below 1. Probabilities from
    outside are clipped to [1e-7, 1 − 1e-7] for the logarithm only. If no pixel counts, the loss
    is 0 with a zero gradient.

    References
    ----------
    Lin et al., "Focal loss for dense object detection", ICCV 2017, eq. 4 and 5.
    """

    _: KW_ONLY
    gamma: float = 2.0
    alpha: float | Sequence[float] | None = None

    per_class: ClassVar[tuple[str, ...]] = ("class_weights", "alpha")

    def __post_init__(self) -> None:
        self._set("gamma", parameters.number("gamma", self.gamma, low=0.0))
        if self.alpha is not None:
            most = 1.0 if self.mode != "multiclass" else float("inf")
            self._set("alpha", parameters.number_or_numbers("alpha", self.alpha, 0.0, most))
        super().__post_init__()
        if self.mode == "multiclass" and isinstance(self.alpha, float):
            raise ValueError(
                f'alpha is {self.alpha:g} in mode "multiclass", where libraries read a single '
                "number in three ways; expected one number per class"
            )

    @property
    def focus(self) -> float:
        return self.gamma

    @property
    def apart(self) -> bool:
        return self.alpha is not None and self.mode != "multiclass"

    def factors(self, positive: Array, size: Array, backend: Backend) -> tuple[Array, ...]:
        if self.alpha is None:
            return super().factors(positive, size, backend)
        alpha = backend.constant(self.vector(self.alpha, size.shape[1], 0.0), size)[None, :]
        return (alpha, 1 - alpha) if self.apart else (alpha,)
