"""What a row of the table is, and the good call that the rows spoil."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.libraries import Library
from xploss import (
    CrossEntropyLoss,
    DiceLoss,
    FBetaLoss,
    FocalLoss,
    JaccardLoss,
    Loss,
    LovaszLoss,
    TverskyLoss,
)

Z = np.linspace(-2, 2, 24).reshape(2, 3, 4)
"""Logits of two samples, three classes and four pixels."""

T = np.array([[0, 1, 2, 0], [2, 2, 1, 0]])
"""Their labels."""

P = np.linspace(0, 1, 24).reshape(2, 3, 4)
"""Probabilities of the same shape."""

# typed as Any, for much of what is done with them is wrong
B: Any = "binary"
M: Any = "multiclass"
L: Any = "multilabel"
DICE: Any = DiceLoss("multiclass")
LOSSES: tuple[Loss, ...] = (
    DICE,
    JaccardLoss("multiclass"),
    TverskyLoss("multiclass"),
    FBetaLoss("multiclass"),
    CrossEntropyLoss("multiclass"),
    FocalLoss("multiclass"),
    LovaszLoss("multiclass"),
)


@dataclass(frozen=True, eq=False)
class Row:
    """A bad call: what it raises, and what the message must contain."""

    name: str
    call: Callable[[Library, dict[str, Any]], Any]
    error: type[Exception]
    says: tuple[str, ...]
    arrays: dict[str, Any] = field(default_factory=dict)
    skip: Callable[[Library], str] = field(default=lambda _: "")

    def __str__(self) -> str:
        return self.name


def put(xp: Library, arrays: dict[str, Any]) -> dict[str, Any]:
    """NumPy arrays as those of a library; everything else as it is."""
    return {k: xp.asarray(v) if isinstance(v, np.ndarray) else v for k, v in arrays.items()}


def bad(
    name: str,
    loss: Loss,
    error: type[Exception],
    *says: str,
    pred: Any = Z,
    target: Any = T,
    **rest: Any,
) -> Row:
    """A row that calls a loss; extra arrays are keyword arguments of the call."""

    def call(_: Library, arrays: dict[str, Any]) -> Any:
        given = dict(arrays)
        positional = given.pop("pred"), given.pop("target")
        if "cotangent" not in given:
            loss(*positional, **given)
        return loss.value_and_grad(*positional, **given)

    return Row(name, call, error, says, {"pred": pred, "target": target, **rest})
