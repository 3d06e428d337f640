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

    def factors(self, positive: Array, size: Array, backend: Backend) -> tuple[Array, ...]:
        one = backend.xp.ones_like(positive)
        alpha = one
        if self.alpha is not None:
            vector = self.vector(self.alpha, positive.shape[1], 0.0)
            alpha = backend.constant(vector, positive)[None, :]
        if self.mode == "multiclass":
            return (alpha,)
        return (alpha, one if self.alpha is None else 1 - alpha)
