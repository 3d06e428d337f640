"""Cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from .. import parameters
from .pointwise import PointwiseLoss

if TYPE_CHECKING:
    from .._xp import Array
    from ..backend import Backend


@dataclass(frozen=True, repr=False)
class CrossEntropyLoss(PointwiseLoss):
    """Cross-entropy: −Σ_c w_c·t_c·log p_c, or −(β·t·log p + (1 − t)·log(1 − p)).

    The former per pixel in multi-class mode, the latter per entry in binary and multi-label
    mode. ``"mean"`` divides by Σ w·Σ_c w_c·t_c over the valid pixels, with the target as given,
    or by the sum of the (class) weights of the valid entries: a cropped image and an ignored
    margin cost the same.

    Parameters
    ----------
    {shared}
    label_smoothing : float, default 0
        The s in t·(1 − s) + s/C, or t·(1 − s) + s/2 in binary and multi-label mode; in [0, 1].
    pos_weight : float or sequence of float, optional
        The β, one number or one per counted class; binary and multi-label mode only.
    balance : float or "auto", optional
        Balanced cross-entropy, −(β·t·log p + (1 − β)·(1 − t)·log(1 − p)), with a number β in
        [0, 1], or with β the share of negatives among the valid pixels of a class; binary and
        multi-label mode only, and without `pos_weight`.

    Notes
    -----
    Computed from logits by log-softmax and softplus; probabilities from outside are clipped to
    [1e-7, 1 − 1e-7] for the logarithm only, and not renormalised. A logit of −inf (a masked
    class) costs 0 where the target is 0. If no pixel counts, the loss is 0 with a zero gradient.

    References
    ----------
    Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015, eq. 1 (with pixel weights); Szegedy et al.,
    "Rethinking the Inception architecture", CVPR 2016, section 7 (label smoothing); Xie, Tu,
    "Holistically-nested edge detection", ICCV 2015, eq. 2 (``balance``).
    """

    _: KW_ONLY
    pos_weight: float | Sequence[float] | None = None
    balance: float | Literal["auto"] | None = None

    per_class: ClassVar[tuple[str, ...]] = ("class_weights", "pos_weight")

    def __post_init__(self) -> None:
        if self.pos_weight is not None:
            weight = parameters.number_or_numbers("pos_weight", self.pos_weight, low=0.0)
            self._set("pos_weight", weight)
        if self.balance is not None and self.balance != "auto":
            if isinstance(self.balance, str):
                raise ValueError(f'balance is {self.balance!r}; expected a number, or "auto"')
            self._set("balance", parameters.number("balance", self.balance, 0.0, 1.0))
        super().__post_init__()
        if self.pos_weight is not None and self.balance is not None:
            raise ValueError(
                f"pos_weight is {self.pos_weight} and balance is {self.balance}; expected one of "
                "them: both weigh the positives"
            )
        for name in ("pos_weight", "balance"):
            if self.mode == "multiclass" and getattr(self, name) is not None:
                raise ValueError(
                    f'{name} is {getattr(self, name)} in mode "multiclass", which has no '
                    "positives; expected None; pass class_weights instead"
                )

    @property
    def apart(self) -> bool:
        return self.pos_weight is not None or self.balance is not None

    @property
    def foreseen(self) -> bool:
        return self.balance != "auto" and not self.maps

    def factors(self, positive: Array, size: Array, backend: Backend) -> tuple[Array, ...]:
        if not self.apart:
            return super().factors(positive, size, backend)
        xp, classes, one = backend.xp, positive.shape[1], backend.xp.ones_like(positive)
        if self.balance == "auto":
            some = xp.where(size > 0, size, one)
            share = (size - positive) / some
            return share, 1 - share
        if self.balance is not None:
            return one * self.balance, one * (1 - self.balance)
        weights = self.vector(self.pos_weight, classes, 0.0)
        return backend.constant(weights, positive)[None, :], one
